// SPDX-License-Identifier: Apache-2.0
import type { SpatialShapes } from '../src/ops/index.js';
import { Random } from '../src/random.js';
import { length, MS_DEFORM_ATTN_TIMINGS, type MsDeformAttnCase } from '../test/cases/ms_deform_attn.js';

/** Where samples lie: anywhere in the map, or within four pixels of the query's own place, as an encoder has them. */
export type Places = 'uniform' | 'local';

export interface BenchCase extends MsDeformAttnCase {
  places: Places;
}

/** A case as plain arrays: what a layer computes, and the samples that follow from it. */
export type BenchArrays = Record<
  'value' | 'reference' | 'offsets' | 'logits' | 'locations' | 'weights' | 'upstream',
  Float32Array
>;

const LOCAL_PIXELS = 4;
const IMAGE_800: SpatialShapes = [
  [100, 100],
  [50, 50],
  [25, 25],
  [13, 13],
];
const IMAGE_1066: SpatialShapes = [
  [134, 100],
  [67, 50],
  [34, 25],
  [17, 13],
];

/** The sizes of a detector at full resolution, then those of the small model. */
export const BENCH_CASES: readonly BenchCase[] = [
  published('encoder, 800 x 800', 1, null, IMAGE_800),
  published('decoder, 800 x 800, 300 queries', 1, 300, IMAGE_800),
  published('encoder, 1066 x 800, batch 2', 2, null, IMAGE_1066),
  ...MS_DEFORM_ATTN_TIMINGS.filter(({ name }) => name.startsWith('tiny')),
].flatMap((entry) => (['uniform', 'local'] as const).map((places) => ({ ...entry, places })));

/** 8 heads of 32 channels, 4 points, 4 levels; without a number of queries, one for every place of the maps. */
function published(
  name: string,
  batch: number,
  queries: number | null,
  levels: SpatialShapes,
): MsDeformAttnCase {
  return { name, batch, queries: queries ?? length(levels), heads: 8, points: 4, dim: 32, levels };
}

/**
 * Random arguments of a case. Samples keep 0.05 pixel away from whole pixels: there the gradient jumps, and two
 * implementations may round to either side.
 */
export function benchArrays(entry: BenchCase, seed = 1): BenchArrays {
  const { batch, queries, heads, points, dim, levels } = entry;
  const random = new Random(seed);
  const between = (low: number, high: number) => low + (high - low) * random.uniform();
  const fill = (size: number) => Float32Array.from({ length: size }, () => between(-1, 1));
  const centres = queryCentres(entry, () => random.uniform());
  const samples = batch * queries * heads * levels.length * points;
  const offsets = new Float32Array(2 * samples);
  const locations = new Float32Array(2 * samples);
  const reference = new Float32Array(batch * queries * levels.length * 2);
  for (let query = 0, at = 0; query < batch * queries; query++) {
    const centre = centres.subarray(2 * (query % queries), 2 * (query % queries) + 2);
    levels.forEach((_, level) => {
      reference.set(centre, 2 * (query * levels.length + level));
    });
    for (let i = 0; i < heads * levels.length * points * 2; i++, at++) {
      const size = levels[Math.floor(i / (2 * points)) % levels.length]![i % 2 === 0 ? 1 : 0];
      const place = centre[i % 2]! * size - 0.5;
      const pixel =
        entry.places === 'local' ? place + between(-LOCAL_PIXELS, LOCAL_PIXELS) : between(0, size) - 0.5;
      const fraction = Math.min(0.95, Math.max(0.05, pixel - Math.floor(pixel)));
      offsets[at] = Math.floor(pixel) + fraction - place;
      locations[at] = centre[i % 2]! + offsets[at]! / size;
    }
  }
  const logits = fill(samples);
  return {
    value: fill(batch * length(levels) * heads * dim),
    reference,
    offsets,
    logits,
    locations,
    weights: softmaxRows(logits, levels.length * points),
    upstream: fill(batch * queries * heads * dim),
  };
}

/** (x, y) of every query in [0, 1]: the centres of the maps' cells where there is one for each, else random places. */
function queryCentres({ queries, levels }: BenchCase, uniform: () => number): Float32Array {
  if (queries !== length(levels)) return Float32Array.from({ length: 2 * queries }, uniform);
  const centres: number[] = [];
  for (const [height, width] of levels) {
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) centres.push((x + 0.5) / width, (y + 0.5) / height);
  }
  return Float32Array.from(centres);
}

function softmaxRows(logits: Float32Array, row: number): Float32Array {
  const weights = logits.map(Math.exp);
  for (let start = 0; start < weights.length; start += row) {
    const part = weights.subarray(start, start + row);
    const sum = part.reduce((a, b) => a + b, 0);
    part.forEach((weight, i) => {
      part[i] = weight / sum;
    });
  }
  return weights;
}
