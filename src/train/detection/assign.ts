// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { pairwiseIou } from '../../models/boxes.js';
import { noGrad } from '../../ops/index.js';

/** The target that each box overlaps most. All are constants to the gradient. */
export type BestTargets = {
  /** int32 `[batch, boxes]`; 0 where there is no target. */
  index: tf.Tensor2D;
  /** `[batch, boxes]`; -1 where there is no target. */
  iou: tf.Tensor2D;
  /** bool `[batch, boxes]`: no box overlaps some target more than this one. */
  closest: tf.Tensor2D;
};

/** Targets compared at once: all of them with all anchors would take much memory. */
const AT_ONCE = 8;

/**
 * @param boxes `[batch or 1, boxes, 4]` corners @param targets `[batch, targets, 4]` corners
 * @param mask `[batch, targets]`, 1 = a real target
 */
export function bestTargets(boxes: tf.Tensor3D, targets: tf.Tensor3D, mask: tf.Tensor2D): BestTargets {
  const [batch, count] = targets.shape;
  const starts = Array.from({ length: Math.ceil(count / AT_ONCE) }, (_, i) => i * AT_ONCE);
  return noGrad(() => {
    const parts = starts.map((start) => {
      const size = Math.min(AT_ONCE, count - start);
      const own = tf.slice(targets, [0, start, 0], [batch, size, 4]);
      const real = tf.expandDims(tf.slice(mask, [0, start], [batch, size]), 2);
      const iou = tf.where(tf.greater(real, 0), pairwiseIou(own, boxes), -1); // [batch, size, boxes]
      const most = tf.max(iou, 2, true);
      const closest = tf.logicalAnd(tf.equal(iou, most), tf.greater(most, 0));
      return {
        index: tf.add(tf.argMax(iou, 1), tf.scalar(start, 'int32')),
        iou: tf.max(iou, 1),
        closest: tf.any(closest, 1),
      };
    });
    return parts.reduce((best, part) => {
      const better = tf.greater(part.iou, best.iou);
      return {
        index: tf.where(better, part.index, best.index),
        iou: tf.maximum(part.iou, best.iou),
        closest: tf.logicalOr(part.closest, best.closest),
      };
    }) as BestTargets;
  });
}

/** Some boxes of each picture; rows that are not `valid` count for nothing. */
export interface BoxSample {
  /** int32 `[batch, K]` */
  indices: tf.Tensor2D;
  /** `[batch, K]`, 1 = drawn. */
  valid: tf.Tensor2D;
  /** `[batch, K]`, 1 = drawn from the first kind. */
  positive: tf.Tensor2D;
}

/**
 * Draws `count` boxes of each picture: at most `positives` of the first kind, the rest of the second.
 * Source: Ren et al. 2015, section 3.1.3.
 *
 * @param first bool `[batch, N]` @param second bool `[batch, N]`
 * @param keys `[batch, N]` or `[1, N]` in [0, 1]; the largest are drawn
 */
export function drawBoxes(
  first: tf.Tensor2D,
  second: tf.Tensor2D,
  keys: tf.Tensor2D,
  count: number,
  positives: number,
): BoxSample {
  const boxes = first.shape[1];
  return noGrad(() => {
    const none = -1;
    const firstKeys = tf.where(first, keys, none);
    const ranked = tf.topk(firstKeys, Math.min(positives, boxes), true).values;
    const least = tf.maximum(tf.min(ranked, 1, true), 0);
    const taken = tf.greaterEqual(firstKeys, least);
    const order = tf.where(taken, tf.add(keys, 2), tf.where(second, keys, none));
    const { values, indices } = tf.topk(order, Math.min(count, boxes), true);
    return {
      indices: indices as tf.Tensor2D,
      valid: tf.cast(tf.greaterEqual(values, 0), 'float32') as tf.Tensor2D,
      positive: tf.cast(tf.greaterEqual(values, 2), 'float32') as tf.Tensor2D,
    };
  });
}
