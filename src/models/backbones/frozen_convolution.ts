// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { foldedConvolution } from '../layers/convolution.js';
import { dilated } from '../layers/dilated.js';
import { Module } from '../module.js';
import { FoldedWeight, type FoldedWeightOptions, FrozenBatchNorm } from './frozen_norm.js';

export interface FrozenConvolutionOptions {
  kernel: number;
  stride: number;
  /** Cells between those that the kernel looks at (default 1: neighbours); with stride 1. */
  dilation?: number;
  /** max(., 0) at the end. */
  relu: boolean;
  trainable: boolean;
}

/** A convolution without bias and the frozen batch norm behind it: parameters `convolution.weight`, `normalization.*`. */
export class FrozenConvolution extends Module {
  private readonly convolution: FoldedWeight;

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly options: FrozenConvolutionOptions,
  ) {
    super();
    const { kernel, trainable } = options;
    const norm = new FrozenBatchNorm(outChannels);
    const shape: FoldedWeightOptions['shape'] = [kernel, kernel, inChannels, outChannels];
    this.convolution = this.child(
      'convolution',
      new FoldedWeight({ shape, layout: 'conv', trainable }, norm),
    );
    this.child('normalization', norm);
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, ceil(H / stride), ceil(W / stride), out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const { kernel, stride, dilation = 1, relu } = this.options;
    const geometry = { stride, padding: (kernel - 1) / 2, relu };
    const { weight } = this.convolution;
    return dilated(x, dilation, (cells) =>
      foldedConvolution(cells, weight, this.convolution.folded(), geometry),
    );
  }
}
