// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { WindowPlan } from './window_plan.js';

/** Sizes of a window attention: the windows of one picture, tokens in a window, heads. */
export interface WindowShape {
  windows: number;
  tokens: number;
  heads: number;
}

/** Tensors of {@link windowAttention}. */
export interface WindowAttentionInputs {
  /** `[batch * height * width, 3 * C]`: queries, keys, values; channels by head. */
  qkv: tf.Tensor2D;
  /** `[3 * C]`, what `qkv` is at padded places; null = 0. */
  padding: tf.Tensor | null;
  /** `[heads, window^2, window^2]`, added to the logits. */
  bias: tf.Tensor;
  /** `[heads]`, what the products of queries and keys are multiplied with; null = 1. */
  scale: tf.Tensor | null;
}

type Save = (tensors: tf.Tensor[]) => void;

/** The meaning of the native op, in TensorFlow.js operations. */
export function windowAttentionPlain(
  { qkv, padding, bias, scale }: WindowAttentionInputs,
  plan: WindowPlan,
  cosine: boolean,
): tf.Tensor2D {
  const heads = bias.shape[0]!;
  const shape = { windows: plan.windows, tokens: plan.spec.window ** 2, heads };
  const windows = scaleQueries(plan.toWindows(qkv, padding), scale, heads, cosine);
  return plan.fromWindows(attendWindows(windows, bias, plan.mask, shape));
}

/**
 * Queries times the scale of their head; with `cosine`, queries and keys are divided by their lengths too.
 * @param qkv `[rows, 3 * C]` @param scale `[heads]`, or null = 1 @returns `[rows, 3 * C]`
 */
export function scaleQueries(
  qkv: tf.Tensor2D,
  scale: tf.Tensor | null,
  heads: number,
  cosine: boolean,
): tf.Tensor2D {
  if (!cosine && !scale) return qkv;
  const [rows, channels3] = qkv.shape;
  const byHead = tf.reshape(qkv, [rows, 3, heads, channels3 / 3 / heads]);
  const ones = (count: number) => tf.ones([1, count, heads, 1]);
  let factors = scale ? tf.concat([tf.reshape(scale, [1, 1, heads, 1]), ones(2)], 1) : ones(3);
  if (cosine) {
    // The length counts as at least 1e-12, as in PyTorch.
    const pairs = tf.slice(byHead, [0, 0, 0, 0], [rows, 2, heads, -1]);
    const inverse = tf.rsqrt(tf.maximum(tf.sum(tf.square(pairs), -1, true), 1e-24));
    factors = tf.mul(factors, tf.concat([inverse, tf.ones([rows, 1, heads, 1])], 1));
  }
  return tf.reshape(tf.mul(byHead, factors), [rows, channels3]);
}

/**
 * `softmax(q k^T + bias + mask) v` in each window and head. Source: Liu et al. 2021, "Swin Transformer", eq. 4.
 *
 * @param qkv `[batch * windows * tokens, 3 * C]`, queries already scaled
 * @param bias `[heads, tokens, tokens]`
 * @param mask `[windows, 1, tokens, tokens]` added to the logits, or null; no gradient flows into it
 * @returns `[batch * windows * tokens, C]`
 */
export function attendWindows(
  qkv: tf.Tensor2D,
  bias: tf.Tensor,
  mask: tf.Tensor | null,
  { windows, tokens, heads }: WindowShape,
): tf.Tensor2D {
  const [rows, channels3] = qkv.shape;
  const channels = channels3 / 3;
  const size = channels / heads;
  // Without a mask all windows of the batch are alike, and one axis holds them.
  const outer = mask ? [rows / tokens / windows, windows] : [rows / tokens];
  const n = outer.length;
  const outerAxes = outer.map((_, i) => i);
  const cut = (x: tf.Tensor) => {
    const split = x.reshape([...outer, tokens, 3, heads, size]);
    return tf.unstack(split.transpose([n + 1, ...outerAxes, n + 2, n, n + 3])) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
  };
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as Save;
    const [$qkv, $bias] = args as [tf.Tensor, tf.Tensor];
    const [q, k, v] = cut($qkv);
    const logits = tf.add(tf.matMul(q, k, false, true), mask ? tf.add($bias, mask) : $bias);
    const weights = tf.softmax(logits);
    const mixed = tf.matMul(weights, v);
    save([q, k, v, weights, mixed]);
    return {
      value: mixed.transpose([...outerAxes, n + 1, n, n + 2]).reshape([rows, channels]),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const upstream = dy
          .reshape([...outer, tokens, heads, size])
          .transpose([...outerAxes, n + 1, n, n + 2]);
        const { dQkv, dBias } = attentionGradient(upstream, saved, outerAxes);
        const order = [...outerAxes.map((i) => i + 1), n + 2, 0, n + 1, n + 3];
        return [dQkv.transpose(order).reshape([rows, channels3]), dBias];
      },
    };
  });
  return op(qkv, bias) as tf.Tensor2D;
}

/** @param dMixed `[..., heads, tokens, size]` @param saved q, k, v, softmax, mixed values @returns dQkv `[3, ..., heads, tokens, size]` */
function attentionGradient(
  dMixed: tf.Tensor,
  saved: tf.Tensor[],
  outerAxes: number[],
): { dQkv: tf.Tensor; dBias: tf.Tensor } {
  const [q, k, v, weights, mixed] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const dV = tf.matMul(weights, dMixed, true, false);
  const dWeights = tf.matMul(dMixed, v, false, true);
  // The mean of dWeights under the softmax is the product of output and upstream (Dao et al. 2022, eq. 4).
  const mean = tf.sum(tf.mul(dMixed, mixed), -1, true);
  const dLogits = tf.mul(weights, tf.sub(dWeights, mean));
  const dQ = tf.matMul(dLogits, k);
  const dK = tf.matMul(dLogits, q, true, false);
  return { dQkv: tf.stack([dQ, dK, dV]), dBias: tf.sum(dLogits, outerAxes) };
}
