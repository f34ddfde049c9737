// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../../engine/index.js';
import { noGrad } from '../../ops/index.js';
import { Module } from '../module.js';
import { hasTensorFlowOps, withGradient } from './fused.js';

/** PyTorch's defaults. */
const EPS = 1e-5;
const MOMENTUM = 0.1;

/**
 * Batch normalisation of maps `[batch, H, W, C]`: with the batch's own mean and variance in training, where running averages
 * of them are kept, and with these averages otherwise. Parameters `weight`, `bias`, buffers `running_mean`, `running_var`.
 * Source: Ioffe and Szegedy 2015.
 */
export class BatchNorm extends Module {
  private readonly weight: tf.Variable;
  private readonly bias: tf.Variable;
  private readonly runningMean: tf.Variable;
  private readonly runningVar: tf.Variable;

  constructor(features: number) {
    super();
    const shape = [features];
    this.weight = this.parameter('weight', { shape, init: { kind: 'ones' } });
    this.bias = this.parameter('bias', { shape, init: { kind: 'zeros' } });
    // PyTorch counts the steps of training; nothing here depends on them.
    this.table('num_batches_tracked', () => ({ shape: [], data: new BigInt64Array(1) }));
    this.runningMean = this.parameter('running_mean', { shape, init: { kind: 'zeros' }, trainable: false });
    this.runningVar = this.parameter('running_var', { shape, init: { kind: 'ones' }, trainable: false });
  }

  /** What it comes to outside of training: a factor and a summand for each channel. */
  scaleAndShift(): { scale: tf.Tensor1D; shift: tf.Tensor1D } {
    const scale = tf.mul(this.weight, tf.rsqrt(tf.add(this.runningVar, EPS))) as tf.Tensor1D;
    return { scale, shift: tf.sub(this.bias, tf.mul(this.runningMean, scale)) as tf.Tensor1D };
  }

  /** In training: normalises with the batch's statistics and takes them into the averages. @param x `[batch, H, W, C]` */
  train(x: tf.Tensor4D): tf.Tensor4D {
    const { value, mean, variance } = hasTensorFlowOps()
      ? normaliseNative(x, this.weight, this.bias)
      : normalisePlain(x, this.weight, this.bias);
    const blend = (running: tf.Variable, now: tf.Tensor) =>
      noGrad(() =>
        tf.tidy(() => running.assign(tf.add(tf.mul(running, 1 - MOMENTUM), tf.mul(now, MOMENTUM)))),
      );
    blend(this.runningMean, mean);
    blend(this.runningVar, variance);
    return value;
  }
}

/** A normalised map, and the mean and unbiased variance of its channels before; these are constants to the gradient. */
interface Normalised {
  value: tf.Tensor4D;
  mean: tf.Tensor;
  variance: tf.Tensor;
}

function normaliseNative(x: tf.Tensor4D, weight: tf.Tensor, bias: tf.Tensor): Normalised {
  const attrs = [
    opAttr.type('T', 'float32'),
    opAttr.type('U', 'float32'),
    opAttr.float('epsilon', EPS),
    opAttr.string('data_format', 'NHWC'),
    opAttr.bool('is_training', true),
  ];
  const [value, mean, variance] = withGradient<tf.Tensor[]>(
    [x, weight, bias],
    (save) => {
      const none = tf.tensor1d([]);
      const [y, batchMean, batchVariance, ...reserved] = runOp(
        'FusedBatchNormV2',
        attrs,
        [x, weight, bias, none, none],
        5,
      );
      save([x, weight, ...reserved]);
      return [y!, batchMean!, batchVariance!];
    },
    ([dy], [$x, $weight, ...reserved]) => {
      const grads = runOp('FusedBatchNormGradV2', attrs, [dy!, $x!, $weight!, ...reserved], 5);
      return [0, 1, 2].map((i) => () => grads[i]!);
    },
  );
  return { value: value as tf.Tensor4D, mean: mean!, variance: variance! };
}

function normalisePlain(x: tf.Tensor4D, weight: tf.Tensor, bias: tf.Tensor): Normalised {
  const axes = [0, 1, 2];
  const { mean, variance } = tf.moments(x, axes);
  const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, EPS)));
  const count = x.size / x.shape[3];
  return {
    value: tf.add(tf.mul(normal, weight), bias) as tf.Tensor4D,
    mean,
    variance: noGrad(() => tf.mul(variance, count / Math.max(1, count - 1))),
  };
}
