// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/*
 * Boxes as pure tensor functions. Two formats, always named: `cxcywh` (centre and size) and `xyxy` (corners).
 *
 * What holds at the edges, so that no caller has to guard against them:
 * - a NaN coordinate makes every overlap of that box NaN: it never disappears in a minimum or maximum;
 * - an inverted box (x1 < x0 or y1 < y0) is empty: area and intersection 0;
 * - two boxes without any area have IoU 0, and generalised IoU 0 if they are the same point; gradients stay finite;
 * - where two edges coincide, each box gets half of the gradient; where boxes just touch, the gradient is the one
 *   towards overlapping. Both are PyTorch's conventions.
 */

/** @param boxes `[..., 4]` (cx, cy, w, h) @returns `[..., 4]` (x0, y0, x1, y1) */
export function cxcywhToXyxy<T extends tf.Tensor>(boxes: T): T {
  const [centre, size] = tf.split(boxes, 2, -1);
  const half = tf.mul(size!, 0.5);
  return tf.concat([tf.sub(centre!, half), tf.add(centre!, half)], -1) as T;
}

/** @param boxes `[..., 4]` (x0, y0, x1, y1) @returns `[..., 4]` (cx, cy, w, h) */
export function xyxyToCxcywh<T extends tf.Tensor>(boxes: T): T {
  const [low, high] = tf.split(boxes, 2, -1);
  return tf.concat([tf.mul(tf.add(low!, high!), 0.5), tf.sub(high!, low!)], -1) as T;
}

/** IoU of every pair. @param a `[..., N, 4]` xyxy @param b `[..., M, 4]` xyxy @returns `[..., N, M]` */
export function pairwiseIou(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return overlap(tf.expandDims(a, -2), tf.expandDims(b, -3), false);
}

/**
 * Generalised IoU of every pair, in [-1, 1].
 *
 * Source: Rezatofighi et al. 2019.
 * @param a `[..., N, 4]` xyxy @param b `[..., M, 4]` xyxy @returns `[..., N, M]`
 */
export function pairwiseGiou(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return overlap(tf.expandDims(a, -2), tf.expandDims(b, -3), true);
}

/** IoU of corresponding boxes. @param a `[..., 4]` xyxy @param b `[..., 4]` xyxy @returns `[...]` */
export function elementwiseIou(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return overlap(a, b, false);
}

/** Generalised IoU of corresponding boxes. @param a `[..., 4]` xyxy @param b `[..., 4]` xyxy @returns `[...]` */
export function elementwiseGiou(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return overlap(a, b, true);
}

/** Corners with the low ones negated: intersecting is then one minimum, enclosing one maximum, of all four. */
const SIGNS = [-1, -1, 1, 1];

/**
 * IoU or generalised IoU with broadcasting.
 *
 * The gradient is written out: an eager backward pass through thirty small operations costs twice as much, and the
 * conventions at touching and degenerate boxes are then ours.
 */
function overlap(first: tf.Tensor, second: tf.Tensor, generalised: boolean): tf.Tensor {
  const op = tf.customGrad((...args) => {
    const [xyxyA, xyxyB, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const a = tf.mul(xyxyA, SIGNS);
    const b = tf.mul(xyxyB, SIGNS);
    const sizeA = extent(a);
    const sizeB = extent(b);
    const inner = extent(tf.minimum(a, b));
    const intersection = product(inner);
    const union = tf.sub(tf.add(product(sizeA), product(sizeB)), intersection);
    const iou = tf.div(intersection, nonZero(union));
    if (!generalised) {
      save([a, b, sizeA, sizeB, inner, intersection, union]);
      return { value: iou, gradFunc: (dy, saved) => overlapGrad(dy, saved, xyxyA.shape, xyxyB.shape) };
    }
    const outer = extent(tf.maximum(a, b));
    const hull = product(outer);
    const value = tf.sub(iou, tf.div(tf.sub(hull, union), nonZero(hull)));
    save([a, b, sizeA, sizeB, inner, intersection, union, outer, hull]);
    return { value, gradFunc: (dy, saved) => overlapGrad(dy, saved, xyxyA.shape, xyxyB.shape) };
  });
  return op(first, second);
}

/**
 * Gradient of `overlap`. With I, U, H for the areas of intersection, union and hull and U = A + B - I:
 * d/dU = -I/U^2 + 1/H, d/dI = 1/U - d/dU, d/dH = -U/H^2; the terms with H belong to the generalised form.
 */
function overlapGrad(dy: tf.Tensor, saved: tf.Tensor[], shapeA: number[], shapeB: number[]): tf.Tensor[] {
  const [a, b, sizeA, sizeB, inner, intersection, union, outer, hull] = saved as tf.Tensor[];
  const perUnion = tf.reciprocal(nonZero(union!));
  let byUnion = tf.neg(tf.mul(tf.mul(intersection!, perUnion), perUnion));
  let dOuter: tf.Tensor | null = null;
  if (hull && outer) {
    const perHull = tf.reciprocal(nonZero(hull));
    byUnion = tf.add(byUnion, perHull);
    const byHull = tf.neg(tf.mul(tf.mul(union!, perHull), perHull));
    dOuter = extentGrad(tf.mul(dy, byHull), outer);
  }
  const dInner = extentGrad(tf.mul(dy, tf.sub(perUnion, byUnion)), inner!);
  const dUnion = tf.mul(dy, byUnion);
  // 1 where a's edge is the inner one, 0 where b's is, one half where they coincide.
  const innerIsA = tf.sub(0.5, tf.mul(0.5, tf.sign(tf.sub(a!, b!))));
  const shareA = tf.mul(dOuter ? tf.sub(dInner, dOuter) : dInner, innerIsA);
  const gradA = tf.add(dOuter ? tf.add(dOuter, shareA) : shareA, extentGrad(dUnion, sizeA!));
  const gradB = tf.add(tf.sub(dInner, shareA), extentGrad(dUnion, sizeB!));
  return [sumToShape(tf.mul(gradA, SIGNS), shapeA), sumToShape(tf.mul(gradB, SIGNS), shapeB)];
}

/** Width and height from signed corners; negative where the box is inverted. `[..., 4]` -> `[..., 2]` */
function extent(signed: tf.Tensor): tf.Tensor {
  const [low, high] = tf.split(signed, 2, -1);
  return tf.add(low!, high!);
}

/** Area of an extent, 0 where it is inverted. `[..., 2]` -> `[...]` */
function product(size: tf.Tensor): tf.Tensor {
  const [width, height] = tf.unstack(tf.relu(size), -1);
  return tf.mul(width!, height!);
}

/** Gradient for the four signed corners, given that for the area. @param dArea `[...]` @param size `[..., 2]` */
function extentGrad(dArea: tf.Tensor, size: tf.Tensor): tf.Tensor {
  const other = tf.reverse(tf.relu(size), -1);
  const open = tf.cast(tf.greaterEqual(size, 0), 'float32');
  const half = tf.mul(tf.mul(tf.expandDims(dArea, -1), other), open);
  return tf.concat([half, half], -1);
}

/** Areas with 1 in the place of 0, to divide by: the numerators are 0 there too. NaN stays NaN. */
function nonZero(area: tf.Tensor): tf.Tensor {
  return tf.add(area, tf.cast(tf.lessEqual(area, 0), 'float32'));
}

function sumToShape(x: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, x.shape);
  return axes.length > 0 ? tf.reshape(tf.sum(x, axes), shape) : x;
}

/** Boxes grow at most by `e` to this in one step, so that no guess overflows. */
const MOST_GROWTH = 4;

/**
 * Boxes shifted in units of their own size and grown by factors: `(cx + w dx, cy + h dy, w e^dw, h e^dh)`.
 *
 * What is seen at a box then means the same wherever the box stands and whatever its size (Girshick et al. 2014, R-CNN);
 * a shift of inverse sigmoids, as in Deformable DETR, is a different one at every place, which small detectors that start
 * from nothing learn several times slower.
 *
 * @param boxes `[..., 4]` cxcywh @param by `[..., 4]` (dx, dy, dw, dh), 0 = stay
 */
export function moveBoxes(boxes: tf.Tensor, by: tf.Tensor): tf.Tensor {
  const [centre, size] = tf.split(boxes, 2, -1) as [tf.Tensor, tf.Tensor];
  const [shift, growth] = tf.split(by, 2, -1) as [tf.Tensor, tf.Tensor];
  const grown = tf.mul(size, tf.exp(tf.minimum(growth, MOST_GROWTH)));
  return tf.concat([tf.add(centre, tf.mul(size, shift)), grown], -1);
}
