// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Conv2d, LayerNorm } from '../layers/basic.js';
import { Module } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { type CoatConfig, coatLayout } from './coat_config.js';
import { CoatParallelBlock, type StageEncodings } from './coat_parallel.js';
import { ConvAttentionBlock } from './conv_attention_block.js';
import {
  ConvPositionEncoding,
  ConvRelativeEncoding,
  joinTokens,
  splitTokens,
  type TokenGrid,
} from './factorised_attention.js';
import { wantedStages } from './settings.js';

/** Patches to tokens: a convolution as large as its stride, and a norm. */
class PatchEmbedding extends Module {
  private readonly proj: Conv2d;
  private readonly norm: LayerNorm;

  constructor(inChannels: number, outChannels: number, patch: number) {
    super();
    this.proj = this.child('proj', new Conv2d(inChannels, outChannels, patch, { stride: patch }));
    this.norm = this.child('norm', new LayerNorm(outChannels));
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, floor(H / patch), floor(W / patch), out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    return this.norm.forward(this.proj.forward(x)) as tf.Tensor4D;
  }
}

/** A stage while the network runs. */
interface StageTokens {
  tokens: tf.Tensor3D;
  grid: TokenGrid;
}

/**
 * CoaT and CoaT-Lite as a detector's backbone: convolutions give attention its sense of place, and in CoaT's parallel blocks
 * the coarser three stages see each other. The maps have no norm of their own.
 *
 * Source: Xu et al. 2021, "Co-Scale Conv-Attentional Image Transformers"; parameter names as in
 * https://github.com/mlpc-ucsd/CoaT.
 *
 * Taps, N from 1 to 4: `patchN [batch, tokens, C]`, `stageN.blockB.cpe`, `.crpe`, `.attention`, `.mlp` (class token first) and,
 * with parallel blocks, `parallelB.stageN`.
 */
export class CoatBackbone extends Backbone {
  private readonly embeddings: PatchEmbedding[];
  private readonly classTokens: tf.Variable[];
  private readonly serial: ConvAttentionBlock[][];
  private readonly parallel: CoatParallelBlock[];

  constructor(readonly config: CoatConfig) {
    super(coatLayout(config));
    const { embed_dims, serial_depths, parallel_depth, mlp_ratios, num_channels, drop_path_rate } = config;
    this.embeddings = embed_dims.map((channels, i) =>
      this.child(
        `patch_embed${i + 1}`,
        new PatchEmbedding(embed_dims[i - 1] ?? num_channels, channels, i === 0 ? 4 : 2),
      ),
    );
    this.classTokens = embed_dims.map((channels, i) =>
      this.parameter(`cls_token${i + 1}`, {
        shape: [1, 1, channels],
        init: { kind: 'truncatedNormal', std: 0.02 },
      }),
    );
    const encodings = embed_dims.map(
      (channels, i): StageEncodings => ({
        position: this.child(`cpe${i + 1}`, new ConvPositionEncoding(channels)),
        relative: this.child(`crpe${i + 1}`, new ConvRelativeEncoding(channels)),
      }),
    );
    const block = (stage: number) => {
      const channels = embed_dims[stage]!;
      return { channels, hidden: channels * mlp_ratios[stage]!, dropPath: drop_path_rate };
    };
    this.serial = serial_depths.map((depth, i) => {
      const { position, relative } = encodings[i]!;
      const blocks = Array.from(
        { length: depth },
        () => new ConvAttentionBlock(block(i), position, relative),
      );
      return this.children(`serial_blocks${i + 1}`, blocks);
    });
    this.parallel = this.children(
      'parallel_blocks',
      Array.from({ length: parallel_depth }, () => new CoatParallelBlock(block(1), encodings.slice(1))),
    );
  }

  /** @param pixels `[batch, H, W, channels]`, at least as large as a cell of the last stage that is needed */
  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    const wanted = wantedStages(this.config.out_features);
    // Parallel blocks need all stages.
    const last = this.parallel.length > 0 ? this.serial.length - 1 : wanted.at(-1)!;
    checkPixels('CoaT', pixels, this.config.num_channels, 4 * 2 ** last);
    const stages: StageTokens[] = [];
    let map = pixels;
    for (let i = 0; i <= last; i++) {
      const stage = this.runSerial(i, map, options);
      stages.push(stage);
      map = splitTokens(stage.tokens, stage.grid).map;
    }
    this.runParallel(stages, options);
    const levels = wanted.map((i) => splitTokens(stages[i]!.tokens, stages[i]!.grid).map);
    return { levels, strides: this.strides, channels: this.channels };
  }

  private runSerial(i: number, x: tf.Tensor4D, options: ForwardOptions): StageTokens {
    const map = this.embeddings[i]!.forward(x);
    const [batch, height, width] = map.shape;
    const grid: TokenGrid = { batch, height, width, extra: 1 };
    options.taps?.set(`patch${i + 1}`, joinTokens(null, map));
    let tokens = joinTokens(tf.tile(this.classTokens[i]! as tf.Tensor as tf.Tensor3D, [batch, 1, 1]), map);
    this.serial[i]!.forEach((block, n) => {
      tokens = block.forward(tokens, grid, options, `stage${i + 1}.block${n}.`);
    });
    return { tokens, grid };
  }

  /** Replaces the tokens of all stages but the first. */
  private runParallel(stages: StageTokens[], options: ForwardOptions): void {
    const coarse = stages.slice(1);
    this.parallel.forEach((block, n) => {
      const tokens = block.forward(
        coarse.map((stage) => stage.tokens),
        coarse.map(({ grid }) => grid),
        options,
      );
      coarse.forEach((stage, i) => {
        stage.tokens = tokens[i]!;
        options.taps?.set(`parallel${n}.stage${i + 2}`, stage.tokens);
      });
    });
  }
}
