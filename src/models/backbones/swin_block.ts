// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import {
  attendWindows,
  type Grid,
  layerNorm,
  type PlanCache,
  type WindowPlan,
  windowAttention,
} from '../../ops/index.js';
import type { InitSpec } from '../init.js';
import { activation } from '../layers/activations.js';
import { LayerNorm, Linear } from '../layers/basic.js';
import { dropPath } from '../layers/dropout.js';
import { linearRows } from '../layers/fused.js';
import { Module } from '../module.js';
import type { ForwardOptions } from './backbone.js';
import { RelativePositions, relativePositionIndex } from './relative_positions.js';
import type { SwinConfig } from './swin_config.js';

/** First values of Swin's linear layers. */
export const SWIN_INIT: InitSpec = { kind: 'truncatedNormal', std: 0.02 };

/** The same with the width of the settings. */
export function swinInit({ initializer_range }: SwinConfig): InitSpec {
  return { kind: 'truncatedNormal', std: initializer_range };
}
const ZEROS: InitSpec = { kind: 'zeros' };

export function swinLinear(
  inFeatures: number,
  outFeatures: number,
  bias = true,
  init: InitSpec = SWIN_INIT,
): Linear {
  return new Linear(inFeatures, outFeatures, { bias, init, biasInit: ZEROS });
}

/** Linear layer on rows `[rows, in]`. */
export function applyLinear(x: tf.Tensor2D, { weight, bias }: Linear): tf.Tensor2D {
  return linearRows(x, weight, bias);
}

/** Norm on rows `[rows, C]`. */
export function applyNorm(x: tf.Tensor2D, { weight, bias, eps }: LayerNorm): tf.Tensor2D {
  return layerNorm(x, weight, bias, eps) as tf.Tensor2D;
}

/** What a block does in one pass. */
interface BlockPass extends ForwardOptions {
  /** Keeps the index tables between passes. */
  plans: PlanCache;
  /**
   * Whether windows stay whole and shifted when the grid is no larger than one (SwinBackbone), instead of shrinking to
   * the grid and staying in place (SwinModel).
   */
  alwaysPartition: boolean;
}

export interface SwinBlockOptions {
  channels: number;
  heads: number;
  /** Odd blocks of a stage shift their windows by half. */
  shifted: boolean;
  /** Probability of dropping each branch in training. */
  dropPath: number;
  /** Prefix of the names of taps. */
  tap: string;
}

/**
 * Attention in (shifted) windows and an MLP, each behind a norm and added to its input.
 * Source: Liu et al. 2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows".
 *
 * Taps (after `tap`): `norm_before`, `attention_in`, `attention_out`, `norm_after`, `mlp`, `out`.
 */
export class SwinBlock extends Module {
  private readonly normBefore: LayerNorm;
  private readonly query: Linear;
  private readonly key: Linear;
  private readonly value: Linear;
  private readonly biasTable: tf.Variable;
  private readonly attentionOutput: Linear;
  private readonly normAfter: LayerNorm;
  private readonly intermediate: Linear;
  private readonly output: Linear;
  private readonly activation: (x: tf.Tensor) => tf.Tensor;

  constructor(
    private readonly config: SwinConfig,
    private readonly options: SwinBlockOptions,
  ) {
    super();
    const { channels, heads } = options;
    const { qkv_bias, window_size, layer_norm_eps } = config;
    const hidden = Math.trunc(config.mlp_ratio * channels);
    const init = swinInit(config);
    const projection = (name: string) =>
      this.child(`attention.self.${name}`, swinLinear(channels, channels, qkv_bias, init));
    this.normBefore = this.child('layernorm_before', new LayerNorm(channels, layer_norm_eps));
    this.biasTable = this.parameter('attention.self.relative_position_bias_table', {
      shape: [(2 * window_size - 1) ** 2, heads],
      init,
    });
    this.table('attention.self.relative_position_index', () => relativePositionIndex(window_size));
    this.query = projection('query');
    this.key = projection('key');
    this.value = projection('value');
    this.attentionOutput = this.child('attention.output.dense', swinLinear(channels, channels, true, init));
    this.normAfter = this.child('layernorm_after', new LayerNorm(channels, layer_norm_eps));
    this.intermediate = this.child('intermediate.dense', swinLinear(channels, hidden, true, init));
    this.output = this.child('output.dense', swinLinear(hidden, channels, true, init));
    this.activation = activation('SwinBlock', config.hidden_act);
  }

  /** @param x `[batch * height * width, C]` @returns the same shape */
  forward(x: tf.Tensor2D, grid: Grid, pass: BlockPass): tf.Tensor2D {
    return pass.taps ? this.run(x, grid, pass) : tf.tidy(() => this.run(x, grid, pass));
  }

  private run(x: tf.Tensor2D, grid: Grid, pass: BlockPass): tf.Tensor2D {
    const tap = (name: string, value: tf.Tensor) => pass.taps?.set(`${this.options.tap}${name}`, value);
    const normed = applyNorm(x, this.normBefore);
    tap('norm_before', normed.reshape([grid.batch, -1, this.options.channels]));
    const attended = this.attend(normed, grid, pass);
    const middle = tf.add(x, dropPath(attended, grid.batch, this.options.dropPath, pass)) as tf.Tensor2D;
    const again = applyNorm(middle, this.normAfter);
    const hidden = this.activation(applyLinear(again, this.intermediate)) as tf.Tensor2D;
    const mlp = applyLinear(hidden, this.output);
    const out = tf.add(middle, dropPath(mlp, grid.batch, this.options.dropPath, pass)) as tf.Tensor2D;
    tap('norm_after', again.reshape([grid.batch, -1, this.options.channels]));
    tap('mlp', mlp.reshape([grid.batch, -1, this.options.channels]));
    tap('out', out.reshape([grid.batch, -1, this.options.channels]));
    return out;
  }

  private attend(x: tf.Tensor2D, grid: Grid, pass: BlockPass): tf.Tensor2D {
    const { heads } = this.options;
    const { plan, window } = this.plan(grid, pass);
    const projection = this.projection();
    const positions = pass.plans.get(
      `positions ${window} ${heads}`,
      () => new RelativePositions(window, this.config.window_size, heads),
    );
    const bias = positions.bias(this.biasTable);
    if (pass.taps) this.tapWindows(x, plan, projection, bias, pass.taps);
    const qkv = linearRows(x, projection.weight, projection.bias);
    const mixed = windowAttention({ qkv, padding: projection.bias, bias, scale: null }, plan);
    return applyLinear(mixed, this.attentionOutput);
  }

  /** Weight and bias of queries, keys and values as one map; queries come out scaled. */
  private projection(): { weight: tf.Tensor; bias: tf.Tensor | null } {
    const { channels, heads } = this.options;
    const { query, key, value } = this;
    const scale = (channels / heads) ** -0.5;
    const join = (parts: (tf.Tensor | null)[]) => {
      const [first, ...rest] = parts as tf.Tensor[];
      return tf.concat([tf.mul(first!, scale), ...rest], 0);
    };
    return {
      weight: join([query.weight, key.weight, value.weight]),
      bias: query.bias ? join([query.bias, key.bias, value.bias]) : null,
    };
  }

  /** The same window by window, padded places too. */
  private tapWindows(
    x: tf.Tensor2D,
    plan: WindowPlan,
    { weight, bias: ofQkv }: { weight: tf.Tensor; bias: tf.Tensor | null },
    bias: tf.Tensor,
    taps: Map<string, tf.Tensor>,
  ): void {
    const { channels, heads, tap } = this.options;
    const tokens = plan.spec.window ** 2;
    const windows = plan.toWindows(x);
    const shape = { windows: plan.windows, tokens, heads };
    const mixed = attendWindows(linearRows(windows, weight, ofQkv), bias, plan.mask, shape);
    const out = applyLinear(mixed, this.attentionOutput);
    taps.set(`${tap}attention_in`, windows.reshape([-1, tokens, channels]));
    taps.set(`${tap}attention_out`, out.reshape([-1, tokens, channels]));
  }

  private plan(grid: Grid, pass: BlockPass): { plan: WindowPlan; window: number } {
    const smaller = Math.min(grid.height, grid.width);
    const whole = !pass.alwaysPartition && smaller <= this.config.window_size;
    const window = whole ? smaller : this.config.window_size;
    const by = this.options.shifted && !whole ? Math.floor(window / 2) : 0;
    return { plan: pass.plans.windows({ ...grid, window, shift: [by, by], order: 'rows' }), window };
  }
}

/** Joins 2 x 2 tokens and halves the channels that makes; odd grids are padded with zeros at right and bottom. */
export class PatchMerging extends Module {
  private readonly norm: LayerNorm;
  private readonly reduction: Linear;

  constructor(config: SwinConfig, channels: number) {
    super();
    this.norm = this.child('norm', new LayerNorm(4 * channels));
    this.reduction = this.child('reduction', swinLinear(4 * channels, 2 * channels, false, swinInit(config)));
  }

  /** @param x `[batch * height * width, C]` @returns `[batch * ceil(height / 2) * ceil(width / 2), 2 * C]` */
  forward(x: tf.Tensor2D, grid: Grid, plans: PlanCache): tf.Tensor2D {
    const plan = plans.windows({ ...grid, window: 2, shift: [0, 0], order: 'columns' });
    const joined = plan.toWindows(x).reshape([-1, 4 * x.shape[1]]) as tf.Tensor2D;
    return applyLinear(applyNorm(joined, this.norm), this.reduction);
  }
}
