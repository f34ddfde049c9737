// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy, elementwiseIou, pairwiseIou } from '../../models/boxes.js';
import type { GroundingTargets } from './batch.js';

/** A query stands on an object if they overlap by more. */
const STANDS_ON = 0.5;

/** Words are learned from boxes that are wrong, too. */
const LEAST_QUALITY = 0.1;

/**
 * Queries that no sentence gives a box learn that of the object they stand on, if any: the decoder is to put every box right,
 * and only a few are named in a step.
 * @param matched what the matched queries learn: `[batch, layers, Q, 4]`, and `[batch, layers, Q]`, 1 = matched
 * @param predicted `[batch, layers, Q, 4]` cxcywh
 * @returns both with the others' boxes added
 */
export function withNearest(
  matched: { boxes: tf.Tensor; mask: tf.Tensor },
  predicted: tf.Tensor4D,
  objects: GroundingTargets['objects'],
): { boxes: tf.Tensor; mask: tf.Tensor } {
  const [batch, layers, queries] = predicted.shape;
  const rows = predicted.reshape([batch, layers * queries, 4]) as tf.Tensor3D;
  const overlaps = tf.mul(
    pairwiseIou(cxcywhToXyxy(rows), cxcywhToXyxy(objects.boxes)),
    tf.expandDims(objects.mask, 1),
  );
  const nearest = tf.oneHot(tf.argMax(overlaps, -1), objects.mask.shape[1], 1, 0, 'float32');
  const own = tf.matMul(nearest as tf.Tensor3D, objects.boxes).reshape([batch, layers, queries, 4]);
  const stands = tf.greater(tf.max(overlaps, -1), STANDS_ON).reshape([batch, layers, queries]);
  const spare = tf.mul(tf.cast(stands, 'float32'), tf.sub(1, matched.mask));
  const share = tf.expandDims(spare, 3);
  return {
    boxes: tf.add(tf.mul(matched.boxes, tf.sub(1, share)), tf.mul(own, share)),
    mask: tf.add(matched.mask, spare),
  };
}

/**
 * Tokens to be answered to, as much as the row's box is right: of several boxes at an object the best is to score highest.
 * @param boxes `[n, 4]` cxcywh, as predicted @returns `[n, tokens]`
 */
export function tokenQualities(
  boxes: tf.Tensor,
  targets: { tokens: tf.Tensor2D; boxes: tf.Tensor2D; boxMask: tf.Tensor1D },
): tf.Tensor {
  const iou = elementwiseIou(cxcywhToXyxy(boxes), cxcywhToXyxy(targets.boxes));
  const quality = tf.where(
    tf.cast(targets.boxMask, 'bool'),
    tf.maximum(iou, LEAST_QUALITY),
    tf.onesLike(iou),
  );
  return tf.mul(targets.tokens, tf.expandDims(quality, 1));
}
