// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { maxPoolPositive } from '../layers/convolution.js';
import { addRelu } from '../layers/fused.js';
import { Module } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { FrozenConvolution } from './frozen_convolution.js';
import { type ResNetConfig, resnetLayout } from './resnet_config.js';

// Source: He et al. 2015, "Deep Residual Learning for Image Recognition"; parameter names are those of Hugging Face
// transformers' ResNet. Batch norm is frozen, as detectors use it.

interface BlockConfig {
  inChannels: number;
  outChannels: number;
  stride: number;
  /** Of a bottleneck's 3x3 convolution. */
  dilation: number;
  bottleneck: boolean;
  downsampleFirst: boolean;
  trainable: boolean;
}

/** Convolutions `layer.N` beside a shortcut, which is a 1x1 convolution `shortcut` where sizes differ. */
class ResNetBlock extends Module {
  private readonly layers: FrozenConvolution[];
  private readonly shortcut: FrozenConvolution | null;

  constructor(config: BlockConfig) {
    super();
    const { inChannels, outChannels, stride, dilation, bottleneck, downsampleFirst, trainable } = config;
    const conv = (from: number, to: number, kernel: number, step: number, relu: boolean) => {
      const rate = kernel === 3 ? dilation : 1;
      return new FrozenConvolution(from, to, { kernel, stride: step, dilation: rate, relu, trainable });
    };
    const inner = outChannels / 4;
    const layers = bottleneck
      ? [
          conv(inChannels, inner, 1, downsampleFirst ? stride : 1, true),
          conv(inner, inner, 3, downsampleFirst ? 1 : stride, true),
          conv(inner, outChannels, 1, 1, false),
        ]
      : [conv(inChannels, outChannels, 3, stride, true), conv(outChannels, outChannels, 3, 1, false)];
    const same = inChannels === outChannels && stride === 1;
    this.shortcut = same ? null : this.child('shortcut', conv(inChannels, outChannels, 1, stride, false));
    this.layers = this.children('layer', layers);
  }

  forward(x: tf.Tensor4D): tf.Tensor4D {
    const beside = this.shortcut?.forward(x) ?? x;
    const y = this.layers.reduce((z, layer) => layer.forward(z), x);
    return addRelu(y, beside);
  }
}

/**
 * ResNet as a detector's backbone: the map of each wanted stage.
 *
 * Taps: `stem` (behind the pooling), `stageN`.
 */
export class ResNetBackbone extends Backbone {
  private readonly stem: FrozenConvolution;
  private readonly stages: ResNetBlock[][];

  constructor(readonly config: ResNetConfig) {
    super(resnetLayout(config));
    const { depths, embedding_size, frozen_stages } = config;
    this.stem = this.child(
      'embedder.embedder',
      new FrozenConvolution(config.num_channels, embedding_size, {
        kernel: 7,
        stride: 2,
        relu: true,
        trainable: frozen_stages < 1,
      }),
    );
    this.stages = depths.map((depth, i) => {
      const blocks = Array.from({ length: depth }, (_, block) => this.block(i, block, frozen_stages < i + 2));
      return this.children(`encoder.stages.${i}.layers`, blocks);
    });
  }

  private block(stage: number, index: number, trainable: boolean): ResNetBlock {
    const { hidden_sizes, embedding_size, layer_type, downsample_in_bottleneck } = this.config;
    const outChannels = hidden_sizes[stage]!;
    const before = stage === 0 ? embedding_size : hidden_sizes[stage - 1]!;
    const dilated = this.config.dilation && stage === hidden_sizes.length - 1;
    const halves = index === 0 && !dilated && (stage > 0 || this.config.downsample_in_first_stage);
    return new ResNetBlock({
      inChannels: index === 0 ? before : outChannels,
      outChannels,
      stride: halves ? 2 : 1,
      // The first block still reads what a stage of stride 2 would read.
      dilation: dilated && index > 0 ? 2 : 1,
      bottleneck: layer_type === 'bottleneck',
      downsampleFirst: downsample_in_bottleneck,
      trainable,
    });
  }

  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    const { num_channels, out_features } = this.config;
    checkPixels('ResNet', pixels, num_channels);
    let x = maxPoolPositive(this.stem.forward(pixels), 3, 2, 1);
    options.taps?.set('stem', x);
    const levels: tf.Tensor4D[] = [];
    const last = Number(out_features.at(-1)!.slice('stage'.length));
    this.stages.slice(0, last).forEach((blocks, i) => {
      for (const block of blocks) x = block.forward(x);
      options.taps?.set(`stage${i + 1}`, x);
      if (out_features.includes(`stage${i + 1}`)) levels.push(x);
    });
    return { levels, strides: this.strides, channels: this.channels };
  }
}
