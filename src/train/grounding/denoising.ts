// SPDX-License-Identifier: Apache-2.0
import { MASKED } from '../../models/layers/attention.js';
import type { Random } from '../../random.js';

/** How boxes are noised for the decoder to mend or to refuse. */
export interface DenoisingOptions {
  /** Copies of each box, near and far ones by turns: near, far, near, ... */
  groups: number;
  /** How far near copies are moved at most, in units of half the box's size; far ones go two to four times as far. */
  noise: number;
}

/** Whether the copies of a group must be mended (near ones) or refused (far ones). */
export function isNear(group: number): boolean {
  return group % 2 === 0;
}

/**
 * Noised copies of a picture's boxes (Li et al. 2022, DN-DETR; Zhang et al. 2022, DINO, has the far ones as negatives).
 * @param boxes `[objects * 4]`, (cx, cy, w, h) in [0, 1]
 * @param slots objects that fit; the rest of the result stays at a harmless box
 * @returns `[groups * slots * 4]`, group after group
 */
export function noiseBoxes(
  boxes: Float32Array,
  slots: number,
  { groups, noise }: DenoisingOptions,
  random: Random,
): Float32Array {
  const result = new Float32Array(groups * slots * 4);
  for (let i = 0; i < groups * slots; i++) result.set([0.5, 0.5, 0.1, 0.1], 4 * i);
  for (let o = 0; o < boxes.length / 4; o++) {
    const box = Array.from(boxes.subarray(4 * o, 4 * o + 4)) as [number, number, number, number];
    for (let group = 0; group < groups; group++) {
      const [low, high] = isNear(group) ? [0, noise] : [2 * noise, 4 * noise];
      result.set(moved(box, random, low, high), 4 * (group * slots + o));
    }
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
 * Scores that keep the groups apart: matched queries and each group of copies see only their own, so no query can read a
 * true box from a noised one.
 * @returns `[(queries + groups * slots)^2]`, row-major
 */
export function groupBias(queries: number, slots: number, groups: number): Float32Array {
  const total = queries + groups * slots;
  const groupOf = (i: number) => (i < queries ? -1 : Math.floor((i - queries) / slots));
  const bias = new Float32Array(total * total);
  for (let i = 0; i < total; i++) {
    for (let j = 0; j < total; j++) if (groupOf(i) !== groupOf(j)) bias[i * total + j] = MASKED;
  }
  return bias;
}
