// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { foldedConvolution } from '../layers/convolution.js';
import { foldedDepthwise } from '../layers/depthwise.js';
import { dropPath } from '../layers/dropout.js';
import { silu } from '../layers/silu.js';
import { SqueezeExcite } from '../layers/squeeze_excite.js';
import { Module } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { type EfficientNetConfig, efficientNetLayout, mapGroups } from './efficientnet_config.js';
import { FoldedWeight, type FoldedWeightOptions, FrozenBatchNorm } from './frozen_norm.js';
import { wantedStages } from './settings.js';

interface BlockConfig {
  inChannels: number;
  outChannels: number;
  kernel: number;
  stride: number;
  expand: number;
  eps: number;
  dropPath: number;
}

/**
 * Pointwise convolution to many channels, depthwise convolution, squeeze and excitation, pointwise convolution to few: parameters
 * `conv_pw`, `conv_dw`, `se`, `conv_pwl` and their norms. A block that does not widen has `conv_dw`, `se`, `conv_pw`.
 */
class InvertedBottleneck extends Module {
  private readonly widen: FoldedWeight | null;
  private readonly depthwise: FoldedWeight;
  private readonly excite: SqueezeExcite;
  private readonly narrow: FoldedWeight;
  private readonly keeps: boolean;

  constructor(private readonly config: BlockConfig) {
    super();
    const { inChannels, outChannels, kernel, stride, expand, eps } = config;
    const inner = inChannels * expand;
    let norms = 0;
    const normed = (name: string, channels: number, options: Omit<FoldedWeightOptions, 'trainable'>) => {
      const norm = this.child(`bn${++norms}`, new FrozenBatchNorm(channels, eps));
      return this.child(name, new FoldedWeight({ ...options, trainable: true }, norm));
    };
    const pointwise = (name: string, from: number, to: number) =>
      normed(name, to, { shape: [1, 1, from, to], layout: 'conv' });
    this.widen = expand > 1 ? pointwise('conv_pw', inChannels, inner) : null;
    this.depthwise = normed('conv_dw', inner, { shape: [kernel, kernel, inner, 1], layout: 'depthwise' });
    // A quarter of what the block gets, however wide it is inside.
    this.excite = this.child('se', new SqueezeExcite(inner, Math.max(1, Math.round(inChannels / 4))));
    this.narrow = pointwise(expand > 1 ? 'conv_pwl' : 'conv_pw', inner, outChannels);
    this.keeps = stride === 1 && inChannels === outChannels;
  }

  forward(x: tf.Tensor4D, options: ForwardOptions): tf.Tensor4D {
    const wide = this.widen ? silu(convolve(x, this.widen, 1)) : x;
    const kernel = { weight: this.depthwise.weight, folded: this.depthwise.folded() };
    const seen = silu(foldedDepthwise(wide, kernel, this.config.stride));
    const y = convolve(this.excite.forward(seen), this.narrow, 1);
    if (!this.keeps) return y;
    return tf.add(x, dropPath(y, x.shape[0], this.config.dropPath, options));
  }
}

function convolve(x: tf.Tensor4D, convolution: FoldedWeight, stride: number): tf.Tensor4D {
  const geometry = { stride, padding: 'same' } as const;
  return foldedConvolution(x, convolution.weight, convolution.folded(), geometry);
}

/**
 * EfficientNet as a detector's backbone, with frozen batch norm. Zeros around maps are TensorFlow's (`same`).
 *
 * Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; parameter names are those
 * of timm (https://github.com/huggingface/pytorch-image-models), whose `tf_efficientnet_*` it is.
 *
 * Taps: `stem`, `groupG` for each group of blocks from 0 on.
 */
export class EfficientNetBackbone extends Backbone {
  private readonly stem: FoldedWeight;
  private readonly groups: InvertedBottleneck[][];

  constructor(readonly config: EfficientNetConfig) {
    super(efficientNetLayout(config));
    const { widths, depths, strides, stem_size, drop_path_rate } = config;
    const norm = this.child('bn1', new FrozenBatchNorm(stem_size, config.batch_norm_eps));
    const shape: FoldedWeightOptions['shape'] = [3, 3, config.num_channels, stem_size];
    const stem = new FoldedWeight({ shape, layout: 'conv', trainable: true }, norm);
    this.stem = this.child('conv_stem', stem);
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let made = 0;
    this.groups = widths.map((outChannels, group) => {
      const blocks = Array.from({ length: depths[group]! }, (_, i) => {
        const before = group === 0 ? stem_size : widths[group - 1]!;
        return new InvertedBottleneck({
          inChannels: i === 0 ? before : outChannels,
          outChannels,
          kernel: config.kernels[group]!,
          stride: i === 0 ? strides[group]! : 1,
          expand: config.expand_ratios[group]!,
          eps: config.batch_norm_eps,
          dropPath: (drop_path_rate * made++) / total,
        });
      });
      return this.children(`blocks.${group}`, blocks);
    });
  }

  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    checkPixels('EfficientNet', pixels, this.config.num_channels);
    const groups = mapGroups(this.config);
    const wanted = wantedStages(this.config.out_features).map((i) => groups[i]!);
    let x = silu(convolve(pixels, this.stem, 2));
    options.taps?.set('stem', x);
    const levels: tf.Tensor4D[] = [];
    this.groups.slice(0, wanted.at(-1)! + 1).forEach((blocks, i) => {
      for (const block of blocks) x = block.forward(x, options);
      options.taps?.set(`group${i}`, x);
      if (wanted.includes(i)) levels.push(x);
    });
    return { levels, strides: this.strides, channels: this.channels };
  }
}
