// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { isTracing } from '../../engine/index.js';
import { noGrad } from '../../ops/index.js';
import type { FoldedWeights } from '../layers/convolution.js';
import { Module } from '../module.js';

/** What PyTorch's batch norm adds to the variance where nothing else is said. */
const EPS = 1e-5;

/** Batch norm that never changes: buffers `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`. */
export class FrozenBatchNorm extends Module {
  private readonly weight: tf.Variable;
  private readonly bias: tf.Variable;
  private readonly runningMean: tf.Variable;
  private readonly runningVar: tf.Variable;

  constructor(
    channels: number,
    private readonly eps = EPS,
  ) {
    super();
    const buffer = (name: string, kind: 'zeros' | 'ones') =>
      this.parameter(name, { shape: [channels], init: { kind }, trainable: false });
    this.weight = buffer('weight', 'ones');
    this.bias = buffer('bias', 'zeros');
    this.runningMean = buffer('running_mean', 'zeros');
    this.runningVar = buffer('running_var', 'ones');
  }

  get values(): tf.Variable[] {
    return [this.weight, this.bias, this.runningMean, this.runningVar];
  }

  /** What it comes to: a factor and a summand for each channel. */
  scaleAndShift(): { scale: tf.Tensor1D; shift: tf.Tensor1D } {
    const scale = tf.mul(this.weight, tf.rsqrt(tf.add(this.runningVar, this.eps))) as tf.Tensor1D;
    return { scale, shift: tf.sub(this.bias, tf.mul(this.runningMean, scale)) as tf.Tensor1D };
  }
}

export interface FoldedWeightOptions {
  /** HWIO, or `[kh, kw, channels, 1]`. */
  shape: [number, number, number, number];
  layout: 'conv' | 'depthwise';
  trainable: boolean;
}

/**
 * The weight of a convolution without bias: parameter `weight`. The frozen norm behind it, which its owner registers, is folded
 * into it and into a bias, which are made anew only when a parameter has changed.
 */
export class FoldedWeight extends Module {
  readonly weight: tf.Tensor4D;
  /** Shape of the norm's factor beside the weight. */
  private readonly outputs: number[];
  private kept: { key: object[]; values: FoldedWeights } | null = null;

  constructor(
    { shape, layout, trainable }: FoldedWeightOptions,
    private readonly norm: FrozenBatchNorm,
  ) {
    super();
    const [height, width, inputs, outputs] = shape;
    // He et al. 2015: the variance of gradients stays as it is.
    const std = Math.sqrt(2 / (height * width * outputs));
    const init = { kind: 'normal', std } as const;
    this.weight = this.parameter('weight', { shape, init, layout, trainable }) as tf.Tensor as tf.Tensor4D;
    this.outputs = layout === 'conv' ? [1, 1, 1, outputs] : [1, 1, inputs, 1];
  }

  folded(): FoldedWeights {
    // Assigning to a variable gives it other data.
    const key = [this.weight, ...this.norm.values].map((variable) => variable.dataId);
    if (this.kept?.key.every((id, i) => id === key[i])) return this.kept.values;
    const values = noGrad(() =>
      tf.tidy(() => {
        const { scale, shift } = this.norm.scaleAndShift();
        const weight = tf.mul(this.weight, tf.reshape(scale, this.outputs)) as tf.Tensor4D;
        return { weight, scale, shift };
      }),
    );
    // While a function is traced there are no values to keep: the folding becomes part of it.
    if (isTracing()) return values;
    this.forget();
    for (const tensor of Object.values(values)) tf.keep(tensor);
    this.kept = { key, values };
    return values;
  }

  private forget(): void {
    if (this.kept) tf.dispose(Object.values(this.kept.values));
    this.kept = null;
  }

  override dispose(): void {
    super.dispose();
    this.forget();
  }
}
