// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { DetectorOutput, PaddedTargets } from '../../../src/models/types.js';
import { Random } from '../../../src/random.js';

export const values = (x: tf.Tensor): number[] => Array.from(x.dataSync());

/** Values drawn from U(low, high). */
export function uniform(random: Random, shape: number[], low = -1, high = 1): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => low + (high - low) * random.uniform()),
    shape,
  );
}

/** Boxes that lie in the picture. @returns `[..., 4]` cxcywh */
export function someBoxes(random: Random, shape: number[]): tf.Tensor {
  return tf.concat([uniform(random, [...shape, 2], 0.3, 0.7), uniform(random, [...shape, 2], 0.1, 0.5)], -1);
}

export interface Sizes {
  batch: number;
  queries: number;
  slots: number;
  layers: number;
  hdim: number;
}

export const SIZES: Sizes = { batch: 2, queries: 6, slots: 8, layers: 3, hdim: 4 };

/** A detector's output with `layers` layers and projections; the same seed gives the same. */
export function someOutput(seed: number, sizes: Sizes = SIZES): DetectorOutput {
  const random = new Random(seed);
  const { batch, queries, slots, layers, hdim } = sizes;
  const layer = () => ({
    pred_logits: uniform(random, [batch, queries, slots], -2, 2) as tf.Tensor3D,
    pred_boxes: someBoxes(random, [batch, queries]) as tf.Tensor3D,
    proj_queries: uniform(random, [batch, queries, hdim]) as tf.Tensor3D,
  });
  const all = Array.from({ length: layers }, layer);
  return {
    ...all.at(-1)!,
    proj_tokens: uniform(random, [batch, slots - 1, hdim]) as tf.Tensor3D,
    aux_outputs: all.slice(0, -1),
  };
}

/** Targets padded to `capacity`; padding rows hold NaN-free nonsense that must not count. */
export function someTargets(
  seed: number,
  counts: number[],
  capacity: number,
  slots = SIZES.slots,
): PaddedTargets {
  const random = new Random(seed);
  const batch = counts.length;
  const mask = Float32Array.from({ length: batch * capacity }, (_, i) =>
    i % capacity < counts[Math.floor(i / capacity)]! ? 1 : 0,
  );
  const map = Float32Array.from({ length: batch * capacity * slots }, (_, i) =>
    i % slots < slots - 1 && random.uniform() < 0.4 ? 1 : 0,
  );
  return {
    boxes: someBoxes(random, [batch, capacity]) as tf.Tensor3D,
    mask: tf.tensor2d(mask, [batch, capacity]),
    positiveMap: tf.tensor3d(map, [batch, capacity, slots]),
  };
}

/** The same targets with `extra` more rows of padding. */
export function withPadding({ boxes, mask, positiveMap }: PaddedTargets, extra: number): PaddedTargets {
  const rows: [number, number] = [0, extra];
  const none: [number, number] = [0, 0];
  return {
    boxes: tf.pad(boxes, [none, rows, none], 0.4),
    mask: tf.pad(mask, [none, rows]),
    positiveMap: tf.pad(positiveMap, [none, rows, none], 1),
  };
}
