// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** What differences of centre and size are multiplied with. */
export type BoxWeights = readonly [x: number, y: number, width: number, height: number];

/** Of proposals. */
export const PROPOSAL_WEIGHTS: BoxWeights = [1, 1, 1, 1];
/** Of detections. */
export const DETECTION_WEIGHTS: BoxWeights = [10, 10, 5, 5];

/** Largest logarithm of how much larger than its reference a box is. */
const LARGEST = Math.log(1000 / 16);

/** Centre and size of boxes. @param boxes `[..., 4]` corners @returns two `[..., 2]` */
function centreAndSize(boxes: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const [low, high] = tf.split(boxes, 2, -1) as [tf.Tensor, tf.Tensor];
  const size = tf.sub(high, low);
  return [tf.add(low, tf.mul(size, 0.5)), size];
}

/**
 * Boxes by how they differ from references: centres in units of the reference's size, sizes by logarithm.
 * Source: Girshick et al. 2014, appendix C.
 *
 * @param deltas `[..., 4]` @param references `[..., 4]` (x0, y0, x1, y1), broadcast
 * @returns `[..., 4]` (x0, y0, x1, y1)
 */
export function decodeBoxes(deltas: tf.Tensor, references: tf.Tensor, weights: BoxWeights): tf.Tensor {
  const [centre, size] = centreAndSize(references);
  const [shift, growth] = tf.split(tf.div(deltas, [...weights]), 2, -1) as [tf.Tensor, tf.Tensor];
  const middle = tf.add(tf.mul(shift, size), centre);
  const half = tf.mul(tf.mul(tf.exp(tf.minimum(growth, LARGEST)), size), 0.5);
  return tf.concat([tf.sub(middle, half), tf.add(middle, half)], -1);
}

/** The reverse of {@link decodeBoxes}. @param boxes `[..., 4]` (x0, y0, x1, y1), not empty */
export function encodeBoxes(boxes: tf.Tensor, references: tf.Tensor, weights: BoxWeights): tf.Tensor {
  const [centre, size] = centreAndSize(references);
  const [target, targetSize] = centreAndSize(boxes);
  const shift = tf.div(tf.sub(target, centre), size);
  return tf.mul(tf.concat([shift, tf.log(tf.div(targetSize, size))], -1), [...weights]);
}

/** Boxes inside of their pictures. @param boxes `[batch, N, 4]` @param sizes `[batch, 2]` width and height */
export function clipBoxes(boxes: tf.Tensor3D, sizes: tf.Tensor2D): tf.Tensor3D {
  const limits = tf.expandDims(tf.concat([sizes, sizes], 1), 1); // [batch, 1, 4]
  return tf.minimum(tf.maximum(boxes, 0), limits) as tf.Tensor3D;
}

/** bool `[..., 1]`: whether both sides of a box are at least `least`. @param boxes `[..., 4]` */
export function largeEnough(boxes: tf.Tensor, least: number): tf.Tensor {
  const [, size] = centreAndSize(boxes);
  return tf.greaterEqual(tf.min(size, -1, true), least);
}
