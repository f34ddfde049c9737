// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Grid, gelu, PlanCache } from '../../ops/index.js';
import { Conv2d, LayerNorm } from '../layers/basic.js';
import { Module } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { growingRates } from './settings.js';
import { applyNorm, PatchMerging, SwinBlock, swinInit } from './swin_block.js';
import { type SwinConfig, swinLayout } from './swin_config.js';

export type { SwinConfig } from './swin_config.js';

// Source: Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows"; parameter names and
// the treatment of awkward sizes are those of Hugging Face transformers. Departure: in training both branches of a block
// may be dropped, as in the paper (transformers drops the attention branch only).
//
// Tokens are rows [batch * height * width, C] throughout, so that linear layers need no reshaping.

interface Tokens {
  rows: tf.Tensor2D;
  grid: Grid;
}

/** Pixels to tokens: patches by one convolution, or by a small stack of two; then a norm and absolute positions. */
class SwinEmbeddings extends Module {
  private readonly projection: Conv2d;
  private readonly stem: { convolution: Conv2d; norm: LayerNorm } | null = null;
  private readonly norm: LayerNorm;
  private readonly positions: tf.Variable | null = null;

  constructor(private readonly config: SwinConfig) {
    super();
    const { embed_dim, patch_size, num_channels } = config;
    if (config.stem === 'conv') {
      const half = Math.ceil(embed_dim / 2);
      const options = { stride: 2, padding: 1 };
      this.stem = {
        convolution: this.child('stem.convolution', new Conv2d(num_channels, half, 3, options)),
        norm: this.child('stem.norm', new LayerNorm(half)),
      };
      this.projection = this.child('patch_embeddings.projection', new Conv2d(half, embed_dim, 3, options));
    } else {
      const options = { stride: patch_size, init: swinInit(config) };
      this.projection = this.child(
        'patch_embeddings.projection',
        new Conv2d(num_channels, embed_dim, patch_size, options),
      );
    }
    this.norm = this.child('norm', new LayerNorm(embed_dim));
    if (config.use_absolute_embeddings) {
      const side = Math.floor(config.image_size / patch_size);
      this.positions = this.parameter('position_embeddings', {
        shape: [1, side * side, embed_dim],
        init: swinInit(config),
      });
    }
  }

  forward(pixels: tf.Tensor4D, taps?: Map<string, tf.Tensor>): Tokens {
    const map = this.project(padToMultiple(pixels, this.config.patch_size));
    const [batch, height, width, channels] = map.shape;
    taps?.set('patch_embeddings', map);
    let rows = applyNorm(map.reshape([-1, channels]) as tf.Tensor2D, this.norm);
    if (this.positions) {
      const tokens = this.positions.shape[1]!;
      if (tokens !== height * width) {
        const side = Math.sqrt(tokens);
        throw new Error(
          `[SwinEmbeddings] expected ${side}x${side} patches for the absolute positions but received ${height}x${width}`,
        );
      }
      rows = tf.add(rows.reshape([batch, tokens, channels]), this.positions).reshape([-1, channels]);
    }
    taps?.set('embeddings', rows.reshape([batch, -1, channels]));
    return { rows, grid: { batch, height, width } };
  }

  private project(pixels: tf.Tensor4D): tf.Tensor4D {
    if (!this.stem) return this.projection.forward(pixels);
    const first = this.stem.convolution.forward(pixels);
    const rows = first.reshape([-1, first.shape[3]]) as tf.Tensor2D;
    const middle = gelu(applyNorm(rows, this.stem.norm)).reshape(first.shape) as tf.Tensor4D;
    return this.projection.forward(middle);
  }
}

/** Zeros at right and bottom up to the next multiple. @param pixels `[batch, H, W, C]` */
function padToMultiple(pixels: tf.Tensor4D, multiple: number): tf.Tensor4D {
  const [, height, width] = pixels.shape;
  const bottom = (multiple - (height % multiple)) % multiple;
  const right = (multiple - (width % multiple)) % multiple;
  if (bottom === 0 && right === 0) return pixels;
  return tf.pad(pixels, [
    [0, 0],
    [0, bottom],
    [0, right],
    [0, 0],
  ]);
}

/** Blocks of one resolution, and the merging that leads to the next. */
class SwinStage extends Module {
  readonly blocks: SwinBlock[];
  readonly downsample: PatchMerging | null;

  constructor(config: SwinConfig, index: number, dropPaths: number[]) {
    super();
    const channels = config.embed_dim * 2 ** index;
    this.blocks = this.children(
      'blocks',
      dropPaths.map(
        (dropPath, i) =>
          new SwinBlock(config, {
            channels,
            heads: config.num_heads[index]!,
            shifted: i % 2 === 1,
            dropPath,
            tap: `${index === 0 ? '' : `stage${index + 1}.`}block${i}.`,
          }),
      ),
    );
    const last = index === config.depths.length - 1;
    this.downsample = last ? null : this.child('downsample', new PatchMerging(config, channels));
  }
}

/** Embeddings and stages: what SwinModel and SwinBackbone share. */
class SwinTrunk {
  readonly embeddings: SwinEmbeddings;
  readonly stages: SwinStage[];
  private readonly plans = new PlanCache();

  constructor(private readonly config: SwinConfig) {
    this.embeddings = new SwinEmbeddings(config);
    this.stages = growingRates(config.depths, config.drop_path_rate).map(
      (rates, i) => new SwinStage(config, i, rates),
    );
  }

  /**
   * @param count stages to run
   * @returns tokens after each stage's blocks, before its merging
   */
  run(pixels: tf.Tensor4D, count: number, alwaysPartition: boolean, options: ForwardOptions): Tokens[] {
    checkPixels('Swin', pixels, this.config.num_channels);
    const { plans } = this;
    const results: Tokens[] = [];
    let { rows, grid } = this.embeddings.forward(pixels, options.taps);
    for (let i = 0; i < count; i++) {
      const { blocks, downsample } = this.stages[i]!;
      for (const block of blocks) rows = block.forward(rows, grid, { ...options, plans, alwaysPartition });
      results.push({ rows, grid });
      if (i === count - 1 || !downsample) break;
      rows = downsample.forward(rows, grid, plans);
      const half = (n: number) => Math.ceil(n / 2);
      grid = { batch: grid.batch, height: half(grid.height), width: half(grid.width) };
      options.taps?.set(i === 0 ? 'downsample' : `stage${i + 1}.downsample`, asTokens({ rows, grid }));
    }
    return results;
  }

  dispose(): void {
    this.plans.dispose();
  }
}

function asTokens({ rows, grid }: Tokens): tf.Tensor3D {
  return rows.reshape([grid.batch, grid.height * grid.width, -1]);
}

function asMap({ rows, grid }: Tokens): tf.Tensor4D {
  return rows.reshape([grid.batch, grid.height, grid.width, -1]);
}

/** Swin as a classifier's trunk: tokens of the last stage and their mean. */
export class SwinModel extends Module {
  private readonly trunk: SwinTrunk;
  private readonly layernorm: LayerNorm;

  constructor(readonly config: SwinConfig) {
    super();
    this.trunk = new SwinTrunk(config);
    this.child('embeddings', this.trunk.embeddings);
    this.children('encoder.layers', this.trunk.stages);
    const channels = config.embed_dim * 2 ** (config.depths.length - 1);
    this.layernorm = this.child('layernorm', new LayerNorm(channels, config.layer_norm_eps));
  }

  /**
   * @param pixels `[batch, H, W, channels]`
   * @returns `lastHiddenState [batch, tokens, C]` after the last norm, `poolerOutput [batch, C]`, its mean over tokens
   */
  forward(
    pixels: tf.Tensor4D,
    options: ForwardOptions = {},
  ): { lastHiddenState: tf.Tensor3D; poolerOutput: tf.Tensor2D } {
    const { rows, grid } = this.trunk.run(pixels, this.config.depths.length, false, options).at(-1)!;
    const lastHiddenState = asTokens({ rows: applyNorm(rows, this.layernorm), grid });
    return { lastHiddenState, poolerOutput: tf.mean(lastHiddenState, 1) };
  }

  override dispose(): void {
    super.dispose();
    this.trunk.dispose();
  }
}

/**
 * Swin as a detector's backbone: the map of each wanted stage before merging, through a norm of its own.
 *
 * Taps: `patch_embeddings [batch, H/4, W/4, C]`, `embeddings`, those of the blocks of the first stage as `blockN.*` and
 * of stage S as `stageS.blockN.*`, `downsample` after the first stage and `stageS.downsample`, `raw.stageS` (maps before
 * their norms).
 */
export class SwinBackbone extends Backbone {
  private readonly trunk: SwinTrunk;
  private readonly norms: (LayerNorm | null)[];

  constructor(readonly config: SwinConfig) {
    super(swinLayout(config));
    this.trunk = new SwinTrunk(config);
    this.child('embeddings', this.trunk.embeddings);
    this.children('encoder.layers', this.trunk.stages);
    this.norms = config.depths.map((_, i) => {
      const name = `stage${i + 1}`;
      if (!config.out_features.includes(name)) return null;
      return this.child(`hidden_states_norms.${name}`, new LayerNorm(config.embed_dim * 2 ** i));
    });
  }

  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    const last = this.norms.findLastIndex((norm) => norm !== null);
    const stages = this.trunk.run(pixels, last + 1, true, options);
    const levels: tf.Tensor4D[] = [];
    stages.forEach(({ rows, grid }, i) => {
      options.taps?.set(`raw.stage${i + 1}`, asMap({ rows, grid }));
      const norm = this.norms[i];
      if (norm) levels.push(asMap({ rows: applyNorm(rows, norm), grid }));
    });
    return { levels, strides: this.strides, channels: this.channels };
  }

  override dispose(): void {
    super.dispose();
    this.trunk.dispose();
  }
}
