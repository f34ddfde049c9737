// SPDX-License-Identifier: Apache-2.0
import { tokenCentres } from '../../models/deformable_encoder.js';

/** What image tokens should propose; rows follow the level sequence. */
export interface DenseTargets {
  /** `[S]`: index of the object a token answers for, or -1. */
  object: Int32Array;
}

/**
 * Gives each object its nearest image tokens, in place and in size, so that every object of the picture teaches boxes,
 * whether the sentence names it or not. A token wanted twice goes to the object it fits better.
 * The assignment needs no predictions, only the grid, so it is made with the batch.
 *
 * @param boxes `[objects * 4]`, (cx, cy, w, h) in [0, 1]
 * @param spatialShapes (H, W) of each level
 * @param tokensPerObject how many image tokens each object teaches
 * @param anchorSide side of the box that stands at a token of the finest level
 */
export function assignDense(
  boxes: Float32Array,
  spatialShapes: readonly (readonly [number, number])[],
  tokensPerObject: number,
  anchorSide = 0.05,
): DenseTargets {
  const centres = tokenCentres(spatialShapes);
  const sides = tokenSides(spatialShapes, anchorSide);
  const count = sides.length;
  const object = new Int32Array(count).fill(-1);
  const best = new Float32Array(count).fill(Number.POSITIVE_INFINITY);
  for (let o = 0; o < boxes.length / 4; o++) {
    const box = boxes.subarray(4 * o, 4 * o + 4) as unknown as ArrayLike<number>;
    for (const [token, cost] of nearestTokens(box, centres, sides, tokensPerObject)) {
      if (cost >= best[token]!) continue;
      best[token] = cost;
      object[token] = o;
    }
  }
  return { object };
}

function tokenSides(spatialShapes: readonly (readonly [number, number])[], anchorSide: number): Float32Array {
  const total = spatialShapes.reduce((sum, [h, w]) => sum + h * w, 0);
  const sides = new Float32Array(total);
  let at = 0;
  spatialShapes.forEach(([h, w], level) => {
    sides.fill(anchorSide * 2 ** level, at, at + h * w);
    at += h * w;
  });
  return sides;
}

/** The cheapest tokens for a box: distance in units of the token's side, plus the ratio of sizes. */
function nearestTokens(
  box: ArrayLike<number>,
  centres: Float32Array,
  sides: Float32Array,
  count: number,
): [token: number, cost: number][] {
  const size = Math.max(Math.sqrt(box[2]! * box[3]!), 1e-3);
  const found: [number, number][] = [];
  let worst = Number.POSITIVE_INFINITY;
  for (let s = 0; s < sides.length; s++) {
    const side = sides[s]!;
    const dx = (centres[2 * s]! - box[0]!) / side;
    const dy = (centres[2 * s + 1]! - box[1]!) / side;
    const cost = Math.hypot(dx, dy) + Math.abs(Math.log2(size / (2 * side)));
    if (found.length === count && cost >= worst) continue;
    found.push([s, cost]);
    found.sort((a, b) => a[1] - b[1]);
    if (found.length > count) found.pop();
    worst = found.at(-1)![1];
  }
  return found;
}
