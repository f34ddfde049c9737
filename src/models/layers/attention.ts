// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type AttentionLayout, attention } from '../../ops/index.js';
import { Module } from '../module.js';
import { Linear, linear } from './basic.js';

/** Added to attention scores where a key must not be seen; finite, so that a row without any key stays a number. */
export const MASKED = -1e9;

/**
 * Multi-head attention with PyTorch's packed parameters: `in_proj_weight [3C, C]` and `in_proj_bias [3C]`
 * (query, key, value one after the other), `out_proj.{weight,bias}`. Source: Vaswani et al. 2017.
 */
export class MultiheadAttention extends Module {
  private readonly inWeight: tf.Variable;
  private readonly inBias: tf.Variable;
  private readonly outProj: Linear;

  constructor(
    readonly dModel: number,
    readonly heads: number,
  ) {
    super();
    if (dModel % heads !== 0) {
      throw new RangeError(
        `[MultiheadAttention] expected dModel divisible by heads but received ${dModel} and ${heads}`,
      );
    }
    this.inWeight = this.parameter('in_proj_weight', {
      shape: [3 * dModel, dModel],
      init: { kind: 'xavierUniform', fanIn: dModel, fanOut: 3 * dModel },
    });
    this.inBias = this.parameter('in_proj_bias', { shape: [3 * dModel], init: { kind: 'zeros' } });
    this.outProj = this.child(
      'out_proj',
      new Linear(dModel, dModel, { init: xavier(dModel, dModel), biasInit: { kind: 'zeros' } }),
    );
  }

  /**
   * @param query `[batch, Q, C]`
   * @param key `[batch, K, C]`
   * @param value `[batch, K, C]`
   * @param mask `[batch or 1, heads or 1, Q or 1, K]` added to the scores, a constant; `MASKED` hides a key
   * @returns `[batch, Q, C]`
   */
  forward(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor | null = null): tf.Tensor {
    return this.outProj.forward(this.attend(query, key, value, mask));
  }

  /** One product for inputs that are the same tensor (queries and keys usually are in self-attention). */
  private attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor | null): tf.Tensor {
    const c = this.dModel;
    const part = (x: tf.Tensor, first: number, count: number) =>
      linear(
        x,
        tf.slice(this.inWeight, [first * c, 0], [count * c, c]) as tf.Tensor2D,
        tf.slice(this.inBias, [first * c], [count * c]) as tf.Tensor1D,
      );
    const run = (layout: AttentionLayout, tensors: tf.Tensor[]) =>
      attention(layout, tensors, this.heads, { mask });
    if (query === key && key === value) return run('qkv', [part(query, 0, 3)]);
    if (query === key) return run('qk,v', [part(query, 0, 2), part(value, 2, 1)]);
    if (key === value) return run('q,kv', [part(query, 0, 1), part(key, 1, 2)]);
    return run('q,k,v', [part(query, 0, 1), part(key, 1, 1), part(value, 2, 1)]);
  }
}

/** Names of an attention's four projections. */
export type ProjectionNames = readonly [query: string, key: string, value: string, output: string];

/** As in Hugging Face's files of DETR. */
const PROJECTION_NAMES: ProjectionNames = ['q_proj', 'k_proj', 'v_proj', 'out_proj'];

/**
 * Multi-head attention with a projection each for query, key, value and output, as Hugging Face names them. The same
 * function as {@link MultiheadAttention}.
 */
export class ProjectedAttention extends Module {
  private readonly qProj: Linear;
  private readonly kProj: Linear;
  private readonly vProj: Linear;
  private readonly outProj: Linear;

  constructor(
    readonly dModel: number,
    readonly heads: number,
    [query, key, value, output]: ProjectionNames = PROJECTION_NAMES,
  ) {
    super();
    const linear = () =>
      new Linear(dModel, dModel, { init: xavier(dModel, dModel), biasInit: { kind: 'zeros' } });
    this.qProj = this.child(query, linear());
    this.kProj = this.child(key, linear());
    this.vProj = this.child(value, linear());
    this.outProj = this.child(output, linear());
  }

  /** Shapes as in {@link MultiheadAttention.forward}. */
  forward(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor | null = null): tf.Tensor {
    const [q, k, v] = [this.qProj.forward(query), this.kProj.forward(key), this.vProj.forward(value)];
    return this.outProj.forward(attention('q,k,v', [q, k, v], this.heads, { mask }));
  }
}

/** Score bias `[batch, 1, 1, K]` that hides padded keys. @param mask `[batch, K]`, 1 = real */
export function keyPaddingBias(mask: tf.Tensor): tf.Tensor {
  const [batch, keys] = mask.shape as [number, number];
  return tf.mul(tf.sub(1, tf.cast(mask, 'float32')), MASKED).reshape([batch, 1, 1, keys]);
}

function xavier(fanIn: number, fanOut: number) {
  return { kind: 'xavierUniform', fanIn, fanOut } as const;
}
