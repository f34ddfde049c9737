// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { attentionGradient, joinHeads, splitHeads } from './attention_heads.js';
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
  const rows = qkv.shape[0];
  // Without a mask all windows of the batch are alike, and one axis holds them.
  const outer = mask ? [rows / tokens / windows, windows] : [rows / tokens];
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as Save;
    const [$qkv, $bias] = args as [tf.Tensor, tf.Tensor];
    const [q, k, v] = splitHeads($qkv, outer, tokens, heads);
    const logits = tf.add(tf.matMul(q, k, false, true), mask ? tf.add($bias, mask) : $bias);
    const weights = tf.softmax(logits);
    const mixed = tf.matMul(weights, v);
    save([q, k, v, weights, mixed]);
    return {
      value: joinHeads(mixed),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [$q, $k, $v, $weights, $mixed] = saved as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const upstream = splitHeads(dy, outer, tokens, heads, 1)[0]!;
        const parts = { q: $q, k: $k, v: $v, weights: $weights, mixed: $mixed };
        const { dQkv, dLogits } = attentionGradient(upstream, parts);
        const axes = outer.map((_, i) => i);
        return [joinHeads(...dQkv), tf.sum(dLogits, axes)];
      },
    };
  });
  return op(qkv, bias) as tf.Tensor2D;
}
