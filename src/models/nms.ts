// SPDX-License-Identifier: Apache-2.0
import type { BoxXyxy } from './types.js';

/** Area of a box; 0 for an empty one. */
export function areaXyxy([x0, y0, x1, y1]: BoxXyxy): number {
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
}

/** Area that two boxes share. */
export function intersectionXyxy(a: BoxXyxy, b: BoxXyxy): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Intersection over union; 0 when both are empty. */
export function iouXyxy(a: BoxXyxy, b: BoxXyxy): number {
  const shared = intersectionXyxy(a, b);
  const union = areaXyxy(a) + areaXyxy(b) - shared;
  return union > 0 ? shared / union : 0;
}

/** Generalised IoU, in [-1, 1] (Rezatofighi et al. 2019); 0 for two boxes at one point. */
export function giouXyxy(a: BoxXyxy, b: BoxXyxy): number {
  const union = areaXyxy(a) + areaXyxy(b) - intersectionXyxy(a, b);
  const hull = areaXyxy([
    Math.min(a[0], b[0]),
    Math.min(a[1], b[1]),
    Math.max(a[2], b[2]),
    Math.max(a[3], b[3]),
  ]);
  return hull > 0 ? iouXyxy(a, b) - (hull - union) / hull : 0;
}

/** Intersection over the smaller of both: 1 when one lies within the other. */
export function iosXyxy(a: BoxXyxy, b: BoxXyxy): number {
  const smaller = Math.min(areaXyxy(a), areaXyxy(b));
  return smaller > 0 ? intersectionXyxy(a, b) / smaller : 0;
}

/**
 * Greedy non-maximum suppression of axis-aligned boxes: highest score first, ties by index.
 *
 * @param boxes `[x0, y0, x1, y1]`, any unit
 * @param scores one per box; NaN is an error
 * @param iouThreshold a box is dropped when it overlaps a kept one by more than this
 * @param classes one per box; boxes of different classes never suppress each other
 * @returns indices of the kept boxes, best first
 */
export function nmsXyxy(
  boxes: readonly BoxXyxy[],
  scores: readonly number[],
  iouThreshold: number,
  classes?: readonly string[],
): number[] {
  if (scores.length !== boxes.length || (classes !== undefined && classes.length !== boxes.length)) {
    throw new RangeError(
      `[nmsXyxy] expected one score and class per box but received ${boxes.length} boxes, ` +
        `${scores.length} scores, ${classes?.length ?? 'no'} classes`,
    );
  }
  const bad = scores.findIndex((score) => Number.isNaN(score));
  if (bad >= 0)
    throw new RangeError(`[nmsXyxy] expected numbers for scores but received NaN at index ${bad}`);
  const order = scores.map((_, i) => i).sort((i, j) => scores[j]! - scores[i]! || i - j);
  const kept: number[] = [];
  for (const i of order) {
    const overlaps = kept.some(
      (k) =>
        (classes === undefined || classes[k] === classes[i]) && iouXyxy(boxes[k]!, boxes[i]!) > iouThreshold,
    );
    if (!overlaps) kept.push(i);
  }
  return kept;
}
