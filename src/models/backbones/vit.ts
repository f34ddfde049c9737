// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { selfAttention } from '../../ops/index.js';
import { Conv2d, LayerNorm, type Linear } from '../layers/basic.js';
import { dropPath } from '../layers/dropout.js';
import { linearRows } from '../layers/fused.js';
import { Module, type Table } from '../module.js';
import type { FeatureMaps, ForwardOptions } from './backbone.js';
import { Backbone, checkPixels } from './backbone.js';
import { BLOCK_EPS, TransformerMlp } from './conv_attention_block.js';
import { transformerLinear } from './factorised_attention.js';
import { gsdPositions } from './gsd_positions.js';
import { growingRates } from './settings.js';
import { type VitConfig, vitLayout } from './vit_config.js';

/** Attention of all tokens and an MLP, each behind a norm and added to its input. */
class VitBlock extends Module {
  private readonly norm1: LayerNorm;
  private readonly qkv: Linear;
  private readonly proj: Linear;
  private readonly norm2: LayerNorm;
  private readonly mlp: TransformerMlp;

  constructor(
    { embed_dim, mlp_ratio, num_heads }: VitConfig,
    private readonly rate: number,
    private readonly heads = num_heads,
  ) {
    super();
    this.norm1 = this.child('norm1', new LayerNorm(embed_dim, BLOCK_EPS));
    this.qkv = this.child('attn.qkv', transformerLinear(embed_dim, 3 * embed_dim));
    this.proj = this.child('attn.proj', transformerLinear(embed_dim, embed_dim));
    this.norm2 = this.child('norm2', new LayerNorm(embed_dim, BLOCK_EPS));
    this.mlp = this.child('mlp', new TransformerMlp(embed_dim, Math.trunc(embed_dim * mlp_ratio)));
  }

  /** @param x `[batch * tokens, C]` @returns the same shape */
  forward(x: tf.Tensor2D, batch: number, pass: ForwardOptions): tf.Tensor2D {
    const normed = this.norm1.forward(x) as tf.Tensor2D;
    const attended = selfAttention(linearRows(normed, this.qkv.weight, this.qkv.bias), batch, this.heads);
    const projected = linearRows(attended, this.proj.weight, this.proj.bias);
    const middle = tf.add(x, dropPath(projected, batch, this.rate, pass));
    const mixed = this.mlp.forward(this.norm2.forward(middle) as tf.Tensor2D);
    return tf.add(middle, dropPath(mixed, batch, this.rate, pass));
  }
}

/**
 * ScaleMAE's vision transformer as a backbone: one map of tokens behind the last norm, without the class token. Positions
 * count metres, so every picture comes with its metres per pixel: `gsd` of the options, else `default_gsd`.
 *
 * Source: Reed et al. 2023, "Scale-MAE"; parameter names as in https://github.com/bair-climate-initiative/scale-mae.
 *
 * Taps, `[batch, tokens, C]`: `patches` (without class token), `blockN`, `tokens` (behind the last norm).
 */
export class VitBackbone extends Backbone {
  private readonly projection: Conv2d;
  private readonly classToken: tf.Variable;
  private readonly blocks: VitBlock[];
  private readonly norm: LayerNorm;

  constructor(readonly config: VitConfig) {
    super(vitLayout(config));
    const { embed_dim, depth, patch_size, num_channels, class_token } = config;
    this.classToken = this.parameter('cls_token', {
      shape: [1, 1, embed_dim],
      init: { kind: 'truncatedNormal', std: 0.02 },
      trainable: class_token,
    });
    this.table('pos_embed', () => positionTable(config));
    const convolution = new Conv2d(num_channels, embed_dim, patch_size, { stride: patch_size });
    this.projection = this.child('patch_embed.proj', convolution);
    const [rates] = growingRates([depth], config.drop_path_rate);
    this.blocks = this.children(
      'blocks',
      rates!.map((rate) => new VitBlock(config, rate)),
    );
    this.norm = this.child('norm', new LayerNorm(embed_dim, BLOCK_EPS));
  }

  /** @param pixels `[batch, H, W, channels]`, at least one patch; remainders are dropped */
  protected maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps {
    const { num_channels, patch_size, embed_dim, class_token } = this.config;
    checkPixels('Vit', pixels, num_channels, patch_size);
    const map = this.projection.forward(pixels);
    const [batch, height, width] = map.shape;
    const places = height * width;
    options.taps?.set('patches', tf.reshape(map, [batch, places, embed_dim]));
    const placed = tf.add(map, gsdPositions([height, width], embed_dim, this.gsdOf(batch, options)));
    let tokens = tf.reshape(placed, [batch, places, embed_dim]);
    if (class_token) {
      const first = tf.tile(this.classToken as tf.Tensor as tf.Tensor3D, [batch, 1, 1]);
      tokens = tf.concat([first, tokens], 1);
    }
    const count = tokens.shape[1]!;
    let x = tf.reshape(tokens, [-1, embed_dim]) as tf.Tensor2D;
    const tap = (name: string) => options.taps?.set(name, tf.reshape(x, [batch, count, embed_dim]));
    this.blocks.forEach((block, i) => {
      const run = () => block.forward(x, batch, options);
      x = options.taps ? run() : tf.tidy(run);
      tap(`block${i}`);
    });
    x = this.norm.forward(x) as tf.Tensor2D;
    tap('tokens');
    const last = class_token ? tf.slice(tf.reshape(x, [batch, count, embed_dim]), [0, 1, 0]) : x;
    const level = tf.reshape(last, [batch, height, width, embed_dim]) as tf.Tensor4D;
    return { levels: [level], strides: this.strides, channels: this.channels };
  }

  private gsdOf(
    batch: number,
    { gsd = this.config.default_gsd ?? undefined }: ForwardOptions,
  ): number | tf.Tensor1D {
    if (gsd === undefined) {
      throw new Error(
        '[Vit] expected metres per pixel for gsd, or default_gsd in the settings, but received none',
      );
    }
    const right = typeof gsd === 'number' ? gsd > 0 : gsd.rank === 1 && [1, batch].includes(gsd.size);
    if (!right) {
      const received = typeof gsd === 'number' ? `${gsd}` : `[${gsd.shape}]`;
      throw new Error(
        `[Vit] expected a number above 0, or shape [${batch}], for gsd but received ${received}`,
      );
    }
    return gsd;
  }
}

/** What ScaleMAE keeps of positions, and does not use: pixels of one metre, nothing for the class token. */
function positionTable({ image_size, patch_size, embed_dim }: VitConfig): Table {
  const cells = Math.floor(image_size / patch_size);
  const rows = cells * cells;
  const data = new Float32Array((rows + 1) * embed_dim);
  const places = gsdPositions([cells, cells], embed_dim, 1);
  data.set(places.dataSync(), embed_dim);
  places.dispose();
  return { shape: [1, rows + 1, embed_dim], data };
}
