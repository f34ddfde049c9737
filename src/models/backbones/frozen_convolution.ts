// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { isTracing } from '../../engine/index.js';
import { noGrad } from '../../ops/index.js';
import { type FoldedWeights, foldedConvolution } from '../layers/convolution.js';
import { dilated } from '../layers/dilated.js';
import { Module } from '../module.js';

/** Of batch norm; PyTorch's default, which published ResNets were trained with. */
const EPS = 1e-5;

/** Batch norm that never changes: buffers `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`. */
class FrozenBatchNorm extends Module {
  private readonly weight: tf.Variable;
  private readonly bias: tf.Variable;
  private readonly runningMean: tf.Variable;
  private readonly runningVar: tf.Variable;

  constructor(channels: number) {
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
    const scale = tf.mul(this.weight, tf.rsqrt(tf.add(this.runningVar, EPS))) as tf.Tensor1D;
    return { scale, shift: tf.sub(this.bias, tf.mul(this.runningMean, scale)) as tf.Tensor1D };
  }
}

export interface FrozenConvolutionOptions {
  kernel: number;
  stride: number;
  /** Cells between those that the kernel looks at (default 1: neighbours); with stride 1. */
  dilation?: number;
  /** max(., 0) at the end. */
  relu: boolean;
  trainable: boolean;
}

/**
 * A convolution without bias and the frozen batch norm behind it: parameters `convolution.weight`, `normalization.*`.
 * The norm is folded into weights and a bias, which are made anew only when a parameter has changed.
 */
export class FrozenConvolution extends Module {
  private readonly weight: tf.Variable;
  private readonly norm: FrozenBatchNorm;
  private folded: { key: object[]; values: FoldedWeights } | null = null;

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly options: FrozenConvolutionOptions,
  ) {
    super();
    const { kernel, trainable } = options;
    // He et al. 2015: the variance of gradients stays as it is.
    const std = Math.sqrt(2 / (kernel * kernel * outChannels));
    this.weight = this.parameter('convolution.weight', {
      shape: [kernel, kernel, inChannels, outChannels],
      init: { kind: 'normal', std },
      layout: 'conv',
      trainable,
    });
    this.norm = this.child('normalization', new FrozenBatchNorm(outChannels));
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, ceil(H / stride), ceil(W / stride), out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const { kernel, stride, dilation = 1, relu } = this.options;
    const geometry = { stride, padding: (kernel - 1) / 2, relu };
    const weight = this.weight as tf.Tensor as tf.Tensor4D;
    return dilated(x, dilation, (cells) => foldedConvolution(cells, weight, this.fold(), geometry));
  }

  private fold(): FoldedWeights {
    // Assigning to a variable gives it other data.
    const key = [this.weight, ...this.norm.values].map((variable) => variable.dataId);
    if (this.folded?.key.every((id, i) => id === key[i])) return this.folded.values;
    const values = noGrad(() =>
      tf.tidy(() => {
        const { scale, shift } = this.norm.scaleAndShift();
        return { weight: tf.mul(this.weight, scale) as tf.Tensor4D, scale, shift };
      }),
    );
    // While a function is traced there are no values to keep: the folding becomes part of it.
    if (isTracing()) return values;
    this.forget();
    for (const tensor of Object.values(values)) tf.keep(tensor);
    this.folded = { key, values };
    return values;
  }

  private forget(): void {
    if (this.folded) tf.dispose(Object.values(this.folded.values));
    this.folded = null;
  }

  override dispose(): void {
    super.dispose();
    this.forget();
  }
}
