// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { InitSpec } from '../init.js';
import { Module } from '../module.js';
import { linearRows } from './fused.js';

/**
 * Transposed convolution whose kernel is as large as its stride, so that every cell becomes a square of cells: one product.
 * Parameters `weight` (`[kernel, kernel, out, in]` here, `[in, out, kernel, kernel]` in files), `bias`.
 */
export class Upsampling extends Module {
  private readonly weight: tf.Variable;
  private readonly bias: tf.Variable;

  constructor(
    private readonly inChannels: number,
    private readonly outChannels: number,
    private readonly factor: number,
  ) {
    super();
    // PyTorch's default counts the output channels as what a weight sums over.
    const byFan: InitSpec = { kind: 'uniform', bound: 1 / (factor * Math.sqrt(outChannels)) };
    this.weight = this.parameter('weight', {
      shape: [factor, factor, outChannels, inChannels],
      init: byFan,
      layout: 'conv',
    });
    this.bias = this.parameter('bias', { shape: [outChannels], init: byFan });
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, factor * H, factor * W, out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const { inChannels, outChannels, factor } = this;
    const [batch, height, width] = x.shape;
    const weight = tf.reshape(this.weight, [factor * factor * outChannels, inChannels]);
    const bias = tf.tile(this.bias, [factor * factor]);
    const rows = linearRows(tf.reshape(x, [batch * height * width, inChannels]), weight, bias);
    const squares = tf.reshape(rows, [batch * height, width, factor, factor * outChannels]);
    const ordered = tf.transpose(squares, [0, 2, 1, 3]);
    return tf.reshape(ordered, [batch, height * factor, width * factor, outChannels]);
  }
}
