// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { SpatialShapes } from '../../src/ops/index.js';
import { Random } from '../../src/random.js';

/** One row of the table that parity, gradient tests and timing share. */
export interface MsDeformAttnCase {
  name: string;
  batch: number;
  queries: number;
  heads: number;
  points: number;
  dim: number;
  levels: SpatialShapes;
  /** Range of the locations; default -0.3 to 1.3, so that some samples lie outside. */
  range?: readonly [number, number];
}

export const MS_DEFORM_ATTN_CASES: readonly MsDeformAttnCase[] = [
  row('one of everything', 1, 1, 1, 1, 1, [[1, 1]]),
  row('dim 1, five levels', 2, 11, 3, 1, 1, [
    [4, 4],
    [3, 3],
    [2, 2],
    [1, 1],
    [7, 1],
  ]),
  row('dim 4, eight points', 1, 20, 4, 8, 4, [
    [17, 15],
    [9, 8],
  ]),
  row('dim 16, two points', 2, 21, 8, 2, 16, [
    [6, 8],
    [3, 4],
    [2, 2],
  ]),
  row('dim 30, one head', 3, 5, 1, 3, 30, [
    [6, 7],
    [3, 4],
  ]),
  row('dim 32, four levels', 1, 9, 8, 4, 32, [
    [9, 12],
    [5, 6],
    [3, 3],
    [2, 1],
  ]),
  row('dim 71, strips', 1, 4, 5, 2, 71, [
    [1, 13],
    [9, 1],
  ]),
  row('one query', 1, 1, 8, 4, 16, [
    [5, 5],
    [3, 3],
  ]),
  row('1x1 levels', 2, 6, 4, 4, 4, [
    [1, 1],
    [1, 1],
    [1, 1],
  ]),
  { ...row('all outside', 1, 5, 2, 2, 16, [[3, 3]]), range: [2, 3] },
];

/** Sizes as models have them, for timing. */
export const MS_DEFORM_ATTN_TIMINGS: readonly MsDeformAttnCase[] = [
  row('tiny encoder, 160x160, batch 8', 8, 525, 8, 2, 16, [
    [20, 20],
    [10, 10],
    [5, 5],
  ]),
  row('tiny encoder, 320x320, batch 8', 8, 2100, 8, 2, 16, [
    [40, 40],
    [20, 20],
    [10, 10],
  ]),
  row('tiny decoder, 60 queries, batch 8', 8, 60, 8, 2, 16, [
    [40, 40],
    [20, 20],
    [10, 10],
  ]),
  {
    ...row('800x800', 1, 13294, 8, 4, 32, [
      [100, 100],
      [50, 50],
      [25, 25],
      [13, 13],
    ]),
    range: [0, 1],
  },
];

function row(
  name: string,
  batch: number,
  queries: number,
  heads: number,
  points: number,
  dim: number,
  levels: SpatialShapes,
): MsDeformAttnCase {
  return { name, batch, queries, heads, points, dim, levels };
}

/** Random arguments of a case as plain arrays. */
export interface MsDeformAttnArrays {
  value: Float32Array;
  locations: Float32Array;
  weights: Float32Array;
  upstream: Float32Array;
}

/**
 * Arguments of a case. Locations keep at least 0.05 pixel away from whole pixels, where the gradient jumps.
 */
export function msDeformAttnArrays(entry: MsDeformAttnCase, seed = 1): MsDeformAttnArrays {
  const random = new Random(seed);
  const { batch, queries, heads, points, dim, levels } = entry;
  const [low, high] = entry.range ?? [-0.3, 1.3];
  const between = (a: number, b: number) => a + (b - a) * random.uniform();
  const fill = (size: number, next: (i: number) => number) =>
    Float32Array.from({ length: size }, (_, i) => next(i));
  const samples = batch * queries * heads * levels.length * points;
  const location = (i: number) => {
    const level = Math.floor(i / (2 * points)) % levels.length;
    const size = levels[level]![i % 2 === 0 ? 1 : 0];
    const pixel = between(low * size - 0.5, high * size - 0.5);
    const fraction = Math.min(0.95, Math.max(0.05, pixel - Math.floor(pixel)));
    return (Math.floor(pixel) + fraction + 0.5) / size;
  };
  return {
    value: fill(batch * length(levels) * heads * dim, () => between(-1, 1)),
    locations: fill(samples * 2, location),
    weights: fill(samples, () => between(-0.2, 1)),
    upstream: fill(batch * queries * heads * dim, () => between(-1, 1)),
  };
}

type Numbers<T> = { [K in keyof T]: Float32Array | Float64Array };

export function length(levels: SpatialShapes): number {
  return levels.reduce((sum, [h, w]) => sum + h * w, 0);
}

/** The arguments as tensors. */
export function msDeformAttnTensors(entry: MsDeformAttnCase, arrays: MsDeformAttnArrays) {
  const { batch, queries, heads, points, dim, levels } = entry;
  return {
    value: tf.tensor4d(arrays.value, [batch, length(levels), heads, dim]),
    locations: tf.tensor(arrays.locations, [batch, queries, heads, levels.length, points, 2]),
    weights: tf.tensor5d(arrays.weights, [batch, queries, heads, levels.length, points]),
    upstream: tf.tensor3d(arrays.upstream, [batch, queries, heads * dim]),
  };
}

/** Arguments of a case in the raw form, beside the locations they lead to. */
export interface MsDeformAttnRawArrays {
  value: Float32Array;
  /** `[N, Q, L, R]` */
  reference: Float32Array;
  offsets: Float32Array;
  /** `[N, Q, M, L * P]` */
  logits: Float32Array;
  upstream: Float32Array;
}

/** Raw arguments whose locations are those of `msDeformAttnArrays`. @param coordinates 2 for points, 4 for boxes */
export function msDeformAttnRawArrays(
  entry: MsDeformAttnCase,
  coordinates: 2 | 4,
  seed = 1,
): MsDeformAttnRawArrays {
  const { value, locations, weights, upstream } = msDeformAttnArrays(entry, seed);
  const random = new Random(seed + 100);
  const reference = Float32Array.from(
    { length: entry.batch * entry.queries * entry.levels.length * coordinates },
    () => 0.2 + 0.6 * random.uniform(),
  );
  const sites = sampleSites(entry, coordinates);
  const offsets = locations.map((location, i) => {
    const { at, unit } = sites(i, reference);
    return (location - reference[at]!) / unit;
  });
  const logits = weights.map((weight) => 4 * weight);
  return { value, reference, offsets, logits, upstream };
}

/**
 * For each number of the positions: the number of the reference it is added to, the size (of boxes) that scales it, and
 * how far a unit of offset goes.
 */
function sampleSites(entry: MsDeformAttnCase, coordinates: 2 | 4) {
  const { heads, points, levels } = entry;
  return (i: number, reference: Float32Array) => {
    const level = Math.floor(i / (2 * points)) % levels.length;
    const query = Math.floor(i / (2 * points * levels.length * heads));
    const at = (query * levels.length + level) * coordinates + (i % 2);
    const pixels = levels[level]![i % 2 === 0 ? 1 : 0];
    return { at, size: at + 2, unit: coordinates === 2 ? 1 / pixels : reference[at + 2]! / 2 / points };
  };
}

/** The definition of the raw form, in double precision: output and the four gradients of sum(output * upstream). */
export function naiveMsDeformAttnRaw(
  entry: MsDeformAttnCase,
  coordinates: 2 | 4,
  { value, reference, offsets, logits, upstream }: MsDeformAttnRawArrays,
) {
  const samples = entry.levels.length * entry.points;
  const sites = sampleSites(entry, coordinates);
  const locations = Float64Array.from(offsets, (offset, i) => {
    const { at, unit } = sites(i, reference);
    return reference[at]! + offset * unit;
  });
  const weights = Float64Array.from(logits);
  for (let head = 0; head < weights.length; head += samples) {
    const part = weights.subarray(head, head + samples);
    const largest = Math.max(...part);
    const sum = part.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    part.forEach((logit, i) => {
      part[i] = Math.exp(logit - largest) / sum;
    });
  }
  const located = naiveMsDeformAttn(entry, { value, locations, weights, upstream });
  const gradReference = new Float64Array(reference.length);
  const gradOffsets = located.gradLocations.map((gradient, i) => {
    const { at, size, unit } = sites(i, reference);
    gradReference[at]! += gradient;
    if (coordinates === 4) gradReference[size]! += (gradient * offsets[i]!) / 2 / entry.points;
    return gradient * unit;
  });
  const gradLogits = located.gradWeights.map((gradient, i) => {
    const head = i - (i % samples);
    let mean = 0;
    for (let k = head; k < head + samples; k++) mean += weights[k]! * located.gradWeights[k]!;
    return weights[i]! * (gradient - mean);
  });
  return { output: located.output, gradValue: located.gradValue, gradReference, gradOffsets, gradLogits };
}

/** The definition, corner by corner, in double precision: output and the three gradients of sum(output * upstream). */
export function naiveMsDeformAttn(entry: MsDeformAttnCase, arrays: Numbers<MsDeformAttnArrays>) {
  const { batch, queries, heads, points, dim, levels } = entry;
  const { value, locations, weights, upstream } = arrays;
  const output = new Float64Array(upstream.length);
  const gradValue = new Float64Array(value.length);
  const gradLocations = new Float64Array(locations.length);
  const gradWeights = new Float64Array(weights.length);
  let sample = 0;
  const visit = (
    item: number,
    to: number,
    head: number,
    start: number,
    [height, width]: readonly [number, number],
  ) => {
    const x = locations[2 * sample]! * width - 0.5;
    const y = locations[2 * sample + 1]! * height - 0.5;
    for (const [px, py] of corners(x, y)) {
      if (px < 0 || px >= width || py < 0 || py >= height) continue;
      const wx = 1 - Math.abs(x - px);
      const wy = 1 - Math.abs(y - py);
      const from = ((item * length(levels) + start + py * width + px) * heads + head) * dim;
      for (let d = 0; d < dim; d++) {
        const product = value[from + d]! * upstream[to + d]!;
        output[to + d]! += weights[sample]! * wx * wy * value[from + d]!;
        gradValue[from + d]! += weights[sample]! * wx * wy * upstream[to + d]!;
        gradWeights[sample]! += wx * wy * product;
        gradLocations[2 * sample]! += weights[sample]! * width * (px > x ? wy : -wy) * product;
        gradLocations[2 * sample + 1]! += weights[sample]! * height * (py > y ? wx : -wx) * product;
      }
    }
    sample++;
  };
  for (let query = 0; query < batch * queries; query++) {
    for (let head = 0; head < heads; head++) {
      let start = 0;
      for (const level of levels) {
        const to = (query * heads + head) * dim;
        for (let p = 0; p < points; p++) visit(Math.floor(query / queries), to, head, start, level);
        start += level[0] * level[1];
      }
    }
  }
  return { output, gradValue, gradLocations, gradWeights };
}

function corners(x: number, y: number): [number, number][] {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  return [
    [left, top],
    [left + 1, top],
    [left, top + 1],
    [left + 1, top + 1],
  ];
}
