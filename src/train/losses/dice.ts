// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * Dice loss of every row, `1 - (2 p.t + 1) / (sum p + sum t + 1)` with `p = sigmoid(logits)`.
 *
 * Source: Milletari et al. 2016, with DETR's smoothing by 1.
 * @param logits `[rows, values]` @param targets the same shape, in [0, 1] @returns `[rows]`
 */
export function diceLoss(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  const p = tf.sigmoid(logits);
  const shared = tf.sum(tf.mul(p, targets), -1);
  const total = tf.add(tf.sum(p, -1), tf.sum(targets, -1));
  return tf.sub(1, tf.div(tf.add(tf.mul(2, shared), 1), tf.add(total, 1)));
}
