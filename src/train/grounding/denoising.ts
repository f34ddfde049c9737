// SPDX-License-Identifier: Apache-2.0

import { MASKED } from '../../models/layers/attention.js';
import type { Random } from '../../random.js';

/** How far boxes are moved, in units of half their size: near ones must be mended, far ones refused. */
const NEAR = 0.4;
const FAR: readonly [number, number] = [0.8, 1.6];

/**
 * Noised copies of a picture's boxes: one near and one far copy of each (Li et al. 2022, DN-DETR; Zhang et al. 2022, DINO,
 * has the far ones as negatives).
 * @param boxes `[objects * 4]`, (cx, cy, w, h) in [0, 1]
 * @param slots objects that fit; the rest of the result stays at a harmless box
 * @returns `[2 * slots * 4]`: near copies, then far copies
 */
export function noiseBoxes(boxes: Float32Array, slots: number, random: Random): Float32Array {
  const result = new Float32Array(2 * slots * 4);
  for (let i = 0; i < 2 * slots; i++) result.set([0.5, 0.5, 0.1, 0.1], 4 * i);
  for (let o = 0; o < boxes.length / 4; o++) {
    const box = Array.from(boxes.subarray(4 * o, 4 * o + 4)) as [number, number, number, number];
    result.set(moved(box, random, 0, NEAR), 4 * o);
    result.set(moved(box, random, FAR[0], FAR[1]), 4 * (slots + o));
  }
  return result;
}

function moved(
  [cx, cy, w, h]: [number, number, number, number],
  random: Random,
  low: number,
  high: number,
): [number, number, number, number] {
  const amount = () => random.range(low, high) * (random.chance(0.5) ? 1 : -1);
  const clamp = (x: number) => Math.min(Math.max(x, 0.002), 0.998);
  const scale = () => 2 ** random.range(-high / 2, high / 2);
  return [
    clamp(cx + (amount() * w) / 2),
    clamp(cy + (amount() * h) / 2),
    clamp(w * scale()),
    clamp(h * scale()),
  ];
}

/**
 * Scores that keep the groups apart: matched queries, near copies and far copies each see only their own group, so no
 * query can read a true box from a noised one.
 * @returns `[(queries + 2 slots)^2]`, row-major
 */
export function groupBias(queries: number, slots: number): Float32Array {
  const total = queries + 2 * slots;
  const group = (i: number) => (i < queries ? 0 : i < queries + slots ? 1 : 2);
  const bias = new Float32Array(total * total);
  for (let i = 0; i < total; i++) {
    for (let j = 0; j < total; j++) if (group(i) !== group(j)) bias[i * total + j] = MASKED;
  }
  return bias;
}
