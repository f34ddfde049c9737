// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { ConvolutionNorm, SeparableConvolutionNorm } from '../layers/normed_convolution.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { type MpvitConfig, mpvitLayout, mpvitOutputs } from './mpvit_config.js';
import { MpvitStage } from './mpvit_stage.js';
import { growingRates, wantedStages } from './settings.js';

/**
 * MPViT as a detector's backbone: stages of several transformers side by side, on tokens that see differently much of the
 * picture. Batch norm is trained, with the statistics of the batch.
 *
 * Source: Lee et al. 2022, "MPViT: Multi-Path Vision Transformer for Dense Prediction"; parameter names as in
 * https://github.com/youngwanLEE/MPViT.
 *
 * Taps: `stem`, and for each stage S from 1 on `stageS` (its map), `stageS.inv_res`, for each path P from 0 on
 * `stageS.pathP` (its input) and for each of its layers `stageS.pathP.layerL.cpe`, `.crpe`, `.attention`, `.mlp`.
 */
export class MpvitBackbone extends Backbone {
  private readonly stem: ConvolutionNorm[];
  private readonly embeddings: SeparableConvolutionNorm[][];
  private readonly stages: MpvitStage[];

  constructor(readonly config: MpvitConfig) {
    super(mpvitLayout(config));
    const { embed_dims, num_path, mlp_ratios, num_layers, drop_path_rate } = config;
    const first = embed_dims[0]!;
    const halving = { kernel: 3, stride: 2 };
    this.stem = this.children('stem', [
      new ConvolutionNorm(config.num_channels, first / 2, halving),
      new ConvolutionNorm(first / 2, first, halving),
    ]);
    this.embeddings = embed_dims.map((channels, i) =>
      Array.from({ length: num_path[i]! }, (_, path) => {
        const stride = i > 0 && path === 0 ? 2 : 1;
        const name = `patch_embed_stages.${i}.patch_embeds.${path}.patch_conv`;
        return this.child(name, new SeparableConvolutionNorm(channels, stride));
      }),
    );
    const outputs = mpvitOutputs(config);
    const rates = growingRates(num_layers, drop_path_rate);
    const stages = embed_dims.map((channels, i) => {
      const hidden = channels * mlp_ratios[i]!;
      const sizes = { channels, hidden, paths: num_path[i]!, outputs: outputs[i]! };
      return new MpvitStage({ ...sizes, dropPaths: rates[i]! });
    });
    this.stages = this.children('mhca_stages', stages);
  }

  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    checkPixels('MPViT', pixels, this.config.num_channels);
    const training = options.training ?? false;
    const wanted = wantedStages(this.config.out_features);
    const tap = (name: string, value: tf.Tensor) => options.taps?.set(name, value);
    let x = this.stem.reduce((y, layer) => layer.forward(y, training), pixels);
    tap('stem', x);
    const levels: tf.Tensor4D[] = [];
    this.stages.slice(0, wanted.at(-1)! + 1).forEach((stage, i) => {
      const name = `stage${i + 1}`;
      // Each path starts where the one before it starts, one convolution later.
      const inputs: tf.Tensor4D[] = [];
      for (const embedding of this.embeddings[i]!)
        inputs.push(embedding.forward(inputs.at(-1) ?? x, training));
      inputs.forEach((input, path) => {
        tap(`${name}.path${path}`, input);
      });
      x = stage.forward(inputs, options, `${name}.`);
      tap(name, x);
      if (wanted.includes(i)) levels.push(x);
    });
    return { levels, strides: this.strides, channels: this.channels };
  }
}
