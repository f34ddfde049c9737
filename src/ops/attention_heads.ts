// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * Rows of tokens whose channels are `parts` times heads, head by head.
 * @param rows `[outer... * tokens, parts * heads * size]`
 * @returns for each part `[...outer, heads, tokens, size]`
 */
export function splitHeads(
  rows: tf.Tensor,
  outer: readonly number[],
  tokens: number,
  heads: number,
  parts = 3,
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const size = rows.shape.at(-1)! / parts / heads;
  const n = outer.length;
  const axes = outer.map((_, i) => i);
  const split = tf.reshape(rows, [...outer, tokens, parts, heads, size]);
  const ordered = tf.transpose(split, [n + 1, ...axes, n + 2, n, n + 3]);
  return tf.unstack(ordered) as [tf.Tensor, tf.Tensor, tf.Tensor];
}

/**
 * The reverse of {@link splitHeads}.
 * @param parts `[...outer, heads, tokens, size]` each @returns `[outer... * tokens, parts * heads * size]`
 */
export function joinHeads(...parts: readonly tf.Tensor[]): tf.Tensor2D {
  const whole = parts.length === 1 ? tf.expandDims(parts[0]!, 0) : tf.stack([...parts]);
  const [heads, , size] = whole.shape.slice(-3) as [number, number, number];
  const axes = whole.shape.slice(1, -3).map((_, i) => i + 1);
  const n = axes.length;
  const ordered = tf.transpose(whole, [...axes, n + 2, 0, n + 1, n + 3]);
  return tf.reshape(ordered, [
    whole.size / (parts.length * heads * size),
    parts.length * heads * size,
  ]) as tf.Tensor2D;
}

/** What a softmax attention `mixed = softmax(q k^T) v` was made of, each `[..., heads, tokens, size]`. */
export interface AttentionParts {
  q: tf.Tensor;
  k: tf.Tensor;
  v: tf.Tensor;
  /** `[..., heads, tokens, tokens]` */
  weights: tf.Tensor;
  mixed: tf.Tensor;
}

/** @param dMixed gradient of `mixed` @returns those of q, k and v, and of the logits */
export function attentionGradient(
  dMixed: tf.Tensor,
  { q, k, v, weights, mixed }: AttentionParts,
): { dQkv: [tf.Tensor, tf.Tensor, tf.Tensor]; dLogits: tf.Tensor } {
  const dV = tf.matMul(weights, dMixed, true, false);
  const dWeights = tf.matMul(dMixed, v, false, true);
  // The mean of dWeights under the softmax is the product of output and upstream (Dao et al. 2022, eq. 4).
  const mean = tf.sum(tf.mul(dMixed, mixed), -1, true);
  const dLogits = tf.mul(weights, tf.sub(dWeights, mean));
  const dQ = tf.matMul(dLogits, k);
  const dK = tf.matMul(dLogits, q, true, false);
  return { dQkv: [dQ, dK, dV], dLogits };
}
