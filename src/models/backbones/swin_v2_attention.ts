// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Grid, type PlanCache, windowAttention } from '../../ops/index.js';
import type { Linear } from '../layers/basic.js';
import { linearRows, relu } from '../layers/fused.js';
import { Module, type Table } from '../module.js';
import { RelativePositions, relativePositionIndex } from './relative_positions.js';
import { applyLinear, swinLinear } from './swin_block.js';

/** Hidden channels of the small network that makes position biases. */
const BIAS_CHANNELS = 512;
/** Largest logarithm of a head's scale: products of queries and keys are multiplied with at most 100. */
const MOST_SCALE = Math.log(100);

/**
 * Attention by cosines in (shifted) windows, with a learned scale for each head and biases that a small network makes of
 * relative positions. Parameters `qkv`, `proj`, `logit_scale`, `cpb_mlp.0`, `cpb_mlp.2`.
 * Source: Liu et al. 2022, "Swin Transformer V2: Scaling Up Capacity and Resolution".
 */
export class CosineWindowAttention extends Module {
  private readonly logitScale: tf.Variable;
  private readonly qkv: Linear;
  private readonly proj: Linear;
  private readonly hidden: Linear;
  private readonly heads_: Linear;

  constructor(
    private readonly channels: number,
    private readonly heads: number,
    private readonly window: number,
  ) {
    super();
    this.logitScale = this.parameter('logit_scale', {
      shape: [heads, 1, 1],
      init: { kind: 'constant', value: Math.log(10) },
    });
    this.qkv = this.child('qkv', swinLinear(channels, 3 * channels));
    this.proj = this.child('proj', swinLinear(channels, channels));
    this.hidden = this.child('cpb_mlp.0', swinLinear(2, BIAS_CHANNELS));
    this.heads_ = this.child('cpb_mlp.2', swinLinear(BIAS_CHANNELS, heads, false));
    this.table('relative_coords_table', () => logDistances(window));
    // Flat in torchvision.
    this.table('relative_position_index', () => {
      const { data } = relativePositionIndex(window);
      return { shape: [data.length], data };
    });
  }

  /** @param x `[batch * height * width, C]` @param shifted by half a window @returns the same shape */
  forward(x: tf.Tensor2D, grid: Grid, shifted: boolean, plans: PlanCache): tf.Tensor2D {
    const { window, heads } = this;
    // Along an axis of one window there is nothing to shift.
    const by = (size: number) => (shifted && size > window ? Math.floor(window / 2) : 0);
    const shift = [by(grid.height), by(grid.width)] as const;
    const plan = plans.windows({ ...grid, window, shift, order: 'rows' });
    const padding = this.qkvBias(plans);
    const qkv = linearRows(x, this.qkv.weight, padding);
    const scale = tf.exp(tf.minimum(tf.reshape(this.logitScale, [heads]), MOST_SCALE));
    const inputs = { qkv, padding, bias: this.positionBias(plans), scale };
    return applyLinear(windowAttention(inputs, plan, { cosine: true }), this.proj);
  }

  /** Keys have no bias, whatever stands in the parameter. */
  private qkvBias(plans: PlanCache): tf.Tensor {
    const { channels } = this;
    const mask = plans.get(`no key bias ${channels}`, () => {
      const values = Float32Array.from({ length: 3 * channels }, (_, i) =>
        Math.floor(i / channels) === 1 ? 0 : 1,
      );
      return tf.keep(tf.tensor1d(values));
    });
    return tf.mul(this.qkv.bias!, mask);
  }

  /** `[heads, window^2, window^2]` */
  private positionBias(plans: PlanCache): tf.Tensor {
    const { window, heads } = this;
    const distances = plans.get(`distances ${window}`, () => {
      const { shape, data } = logDistances(window);
      return tf.keep(tf.tensor2d(data as Float32Array, [shape[1]! * shape[2]!, 2]));
    });
    const positions = plans.get(
      `positions ${window} ${heads}`,
      () => new RelativePositions(window, window, heads),
    );
    const table = applyLinear(relu(applyLinear(distances, this.hidden)) as tf.Tensor2D, this.heads_);
    return positions.bias(tf.mul(tf.sigmoid(table), 16));
  }
}

/** Distances of two tokens of a window, (dy, dx) scaled to [-8, 8] and then to logarithms: `[1, 2 * window - 1, 2 * window - 1, 2]`. */
function logDistances(window: number): Table {
  const along = Array.from({ length: 2 * window - 1 }, (_, i) => {
    // Rounded to float32 after each step, as the published tables are.
    const distance = Math.fround(Math.fround((i - (window - 1)) / (window - 1)) * 8);
    return (Math.sign(distance) * Math.fround(Math.log2(Math.fround(Math.abs(distance) + 1)))) / 3;
  });
  const pairs = along.flatMap((dy) => along.flatMap((dx) => [dy, dx]));
  return { shape: [1, along.length, along.length, 2], data: Float32Array.from(pairs) };
}
