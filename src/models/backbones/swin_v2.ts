// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Grid, gelu, PlanCache } from '../../ops/index.js';
import { Conv2d, LayerNorm, type Linear } from '../layers/basic.js';
import { dropPath } from '../layers/dropout.js';
import { Module } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { growingRates, wantedStages } from './settings.js';
import { applyLinear, applyNorm, SWIN_INIT, swinLinear } from './swin_block.js';
import { CosineWindowAttention } from './swin_v2_attention.js';
import { PATCH, type SwinV2Config, swinV2Layout } from './swin_v2_config.js';

// Source: Liu et al. 2022, "Swin Transformer V2: Scaling Up Capacity and Resolution"; parameter names and the treatment of
// awkward sizes are torchvision's: what is left of a picture behind the last whole patch is dropped.
//
// Tokens are rows [batch * height * width, C] throughout, so that linear layers need no reshaping.

interface BlockOptions {
  channels: number;
  heads: number;
  hidden: number;
  window: number;
  shifted: boolean;
  dropPath: number;
}

/** Attention and an MLP, each with a norm behind it and added to its input. */
class SwinV2Block extends Module {
  private readonly norm1: LayerNorm;
  private readonly attention: CosineWindowAttention;
  private readonly norm2: LayerNorm;
  private readonly mlp: readonly [Linear, Linear];

  constructor(private readonly options: BlockOptions) {
    super();
    const { channels, heads, hidden, window } = options;
    this.norm1 = this.child('norm1', new LayerNorm(channels));
    this.attention = this.child('attn', new CosineWindowAttention(channels, heads, window));
    this.norm2 = this.child('norm2', new LayerNorm(channels));
    this.mlp = [
      this.child('mlp.0', swinLinear(channels, hidden)),
      this.child('mlp.3', swinLinear(hidden, channels)),
    ];
  }

  /** @param x `[batch * height * width, C]` @returns the same shape */
  forward(x: tf.Tensor2D, grid: Grid, plans: PlanCache, pass: ForwardOptions): tf.Tensor2D {
    const { shifted, dropPath: rate } = this.options;
    const attended = applyNorm(this.attention.forward(x, grid, shifted, plans), this.norm1);
    const middle = tf.add(x, dropPath(attended, grid.batch, rate, pass)) as tf.Tensor2D;
    const hidden = gelu(applyLinear(middle, this.mlp[0])) as tf.Tensor2D;
    const mixed = applyNorm(applyLinear(hidden, this.mlp[1]), this.norm2);
    return tf.add(middle, dropPath(mixed, grid.batch, rate, pass)) as tf.Tensor2D;
  }
}

/** Joins 2 x 2 tokens and halves the channels that makes; odd grids are padded with zeros at right and bottom. */
class PatchMergingV2 extends Module {
  private readonly reduction: Linear;
  private readonly norm: LayerNorm;

  constructor(channels: number) {
    super();
    this.reduction = this.child('reduction', swinLinear(4 * channels, 2 * channels, false));
    this.norm = this.child('norm', new LayerNorm(2 * channels));
  }

  /** @param x `[batch * height * width, C]` @returns `[batch * ceil(height / 2) * ceil(width / 2), 2 * C]` */
  forward(x: tf.Tensor2D, grid: Grid, plans: PlanCache): tf.Tensor2D {
    const plan = plans.windows({ ...grid, window: 2, shift: [0, 0], order: 'columns' });
    const joined = plan.toWindows(x).reshape([-1, 4 * x.shape[1]]) as tf.Tensor2D;
    return applyNorm(applyLinear(joined, this.reduction), this.norm);
  }
}

/**
 * Swin V2 as a detector's backbone: the map of each wanted stage before merging, without a norm of its own, as torchvision's
 * `features` and the Satlas models give it.
 *
 * Taps: `embeddings` and `stageS.blockN`, tokens `[batch, tokens, C]`.
 */
export class SwinV2Backbone extends Backbone {
  private readonly projection: Conv2d;
  private readonly norm: LayerNorm;
  private readonly stages: SwinV2Block[][];
  private readonly mergings: PatchMergingV2[] = [];
  private readonly plans = new PlanCache();

  constructor(readonly config: SwinV2Config) {
    super(swinV2Layout(config));
    const { embed_dim, num_channels, depths, drop_path_rate } = config;
    const options = { stride: PATCH, init: SWIN_INIT };
    this.projection = this.child('features.0.0', new Conv2d(num_channels, embed_dim, PATCH, options));
    this.norm = this.child('features.0.2', new LayerNorm(embed_dim));
    this.stages = growingRates(depths, drop_path_rate).map((rates, i) => {
      if (i > 0)
        this.mergings.push(this.child(`features.${2 * i}`, new PatchMergingV2(embed_dim * 2 ** (i - 1))));
      const blocks = rates.map((rate, block) => this.block(i, block % 2 === 1, rate));
      return this.children(`features.${2 * i + 1}`, blocks);
    });
  }

  private block(stage: number, shifted: boolean, rate: number): SwinV2Block {
    const { embed_dim, num_heads, mlp_ratio, window_size } = this.config;
    const channels = embed_dim * 2 ** stage;
    const hidden = Math.trunc(mlp_ratio * channels);
    const heads = num_heads[stage]!;
    return new SwinV2Block({ channels, heads, hidden, window: window_size, shifted, dropPath: rate });
  }

  /** @param pixels `[batch, H, W, channels]`, at least 4 x 4 pixels */
  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    checkPixels('SwinV2', pixels, this.config.num_channels, PATCH);
    const wanted = wantedStages(this.config.out_features);
    const map = this.projection.forward(pixels);
    let grid: Grid = { batch: map.shape[0], height: map.shape[1], width: map.shape[2] };
    let rows = applyNorm(map.reshape([-1, map.shape[3]]) as tf.Tensor2D, this.norm);
    const tap = (name: string) => options.taps?.set(name, rows.reshape([grid.batch, -1, rows.shape[1]]));
    tap('embeddings');
    const levels: tf.Tensor4D[] = [];
    for (let i = 0; i <= wanted.at(-1)!; i++) {
      if (i > 0) {
        rows = this.mergings[i - 1]!.forward(rows, grid, this.plans);
        grid = { ...grid, height: Math.ceil(grid.height / 2), width: Math.ceil(grid.width / 2) };
      }
      this.stages[i]!.forEach((block, n) => {
        rows = options.taps
          ? block.forward(rows, grid, this.plans, options)
          : tf.tidy(() => block.forward(rows, grid, this.plans, options));
        tap(`stage${i + 1}.block${n}`);
      });
      if (wanted.includes(i)) levels.push(rows.reshape([grid.batch, grid.height, grid.width, rows.shape[1]]));
    }
    return { levels, strides: this.strides, channels: this.channels };
  }

  override dispose(): void {
    super.dispose();
    this.plans.dispose();
  }
}
