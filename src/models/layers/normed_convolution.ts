// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Module } from '../module.js';
import { BatchNorm } from './batch_norm.js';
import { convolution } from './convolution.js';
import { depthwiseConvolution } from './depthwise.js';
import { hardSwish } from './hard_swish.js';

/** A convolution as a function of its weight and of a bias. */
type Convolve = (weight: tf.Tensor4D, bias: tf.Tensor | null) => tf.Tensor4D;

/**
 * A convolution and the batch norm behind it. Outside of training the norm is a factor and a summand that go into the weights.
 * @param outputs shape of the norm's factor beside the weight, whose last axes are the output channels
 */
export function normedConvolution(
  convolve: Convolve,
  weight: tf.Tensor4D,
  outputs: number[],
  norm: BatchNorm,
  training: boolean,
): tf.Tensor4D {
  if (training) return norm.train(convolve(weight, null));
  const { scale, shift } = norm.scaleAndShift();
  return convolve(tf.mul(weight, tf.reshape(scale, outputs)) as tf.Tensor4D, shift);
}

/** He et al. 2015: the variance of gradients stays as it is. */
const he = (fan: number) => ({ kind: 'normal', std: Math.sqrt(2 / fan) }) as const;

export interface ConvolutionNormOptions {
  kernel?: number;
  stride?: number;
  /** Hard swish at the end (default true). */
  activation?: boolean;
}

/** Convolution, batch norm, and hard swish if wanted: parameters `conv.weight`, `bn.*`. */
export class ConvolutionNorm extends Module {
  private readonly weight: tf.Variable;
  private readonly norm: BatchNorm;

  constructor(
    inChannels: number,
    private readonly outChannels: number,
    private readonly options: ConvolutionNormOptions = {},
  ) {
    super();
    const { kernel = 1 } = options;
    this.weight = this.parameter('conv.weight', {
      shape: [kernel, kernel, inChannels, outChannels],
      init: he(kernel * kernel * outChannels),
      layout: 'conv',
    });
    this.norm = this.child('bn', new BatchNorm(outChannels));
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, ceil(H / stride), ceil(W / stride), out]` */
  forward(x: tf.Tensor4D, training: boolean): tf.Tensor4D {
    const { kernel = 1, stride = 1, activation = true } = this.options;
    const geometry = { stride, padding: (kernel - 1) / 2 };
    const weight = this.weight as tf.Tensor as tf.Tensor4D;
    const convolve: Convolve = (w, bias) => convolution(x, w, bias, geometry);
    const y = normedConvolution(convolve, weight, [1, 1, 1, this.outChannels], this.norm, training);
    return activation ? hardSwish(y) : y;
  }
}

/** Depthwise 3x3 and pointwise convolution, batch norm, hard swish: parameters `dwconv.weight`, `pwconv.weight`, `bn.*`. */
export class SeparableConvolutionNorm extends Module {
  private readonly depthwise: tf.Variable;
  private readonly pointwise: tf.Variable;
  private readonly norm: BatchNorm;

  constructor(
    private readonly channels: number,
    private readonly stride: number,
  ) {
    super();
    this.depthwise = this.parameter('dwconv.weight', {
      shape: [3, 3, channels, 1],
      init: he(9 * channels),
      layout: 'depthwise',
    });
    this.pointwise = this.parameter('pwconv.weight', {
      shape: [1, 1, channels, channels],
      init: he(channels),
      layout: 'conv',
    });
    this.norm = this.child('bn', new BatchNorm(channels));
  }

  /** @param x `[batch, H, W, C]` @returns `[batch, ceil(H / stride), ceil(W / stride), C]` */
  forward(x: tf.Tensor4D, training: boolean): tf.Tensor4D {
    const kernel = this.depthwise as tf.Tensor as tf.Tensor4D;
    const middle = depthwiseConvolution(x, kernel, null, { stride: this.stride, padding: 1 });
    const weight = this.pointwise as tf.Tensor as tf.Tensor4D;
    const convolve: Convolve = (w, bias) => convolution(middle, w, bias, { stride: 1, padding: 0 });
    return hardSwish(normedConvolution(convolve, weight, [1, 1, 1, this.channels], this.norm, training));
  }
}
