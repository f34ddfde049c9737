// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { BENCH_CASES, type BenchCase, benchArrays } from '../../bench/ms_deform_attn_cases.js';

const SMALL: BenchCase = {
  name: 'small',
  batch: 2,
  queries: 8,
  heads: 2,
  points: 3,
  dim: 4,
  levels: [
    [3, 2],
    [1, 2],
  ],
  places: 'local',
};

describe('cases of the msDeformAttn bench', () => {
  it('have the sizes of an 800 x 800 picture', () => {
    const encoder = BENCH_CASES.find(({ name }) => name === 'encoder, 800 x 800')!;
    expect(encoder.queries).toBe(13294);
    expect(new Set(BENCH_CASES.map(({ name, places }) => `${name}, ${places}`)).size).toBe(
      BENCH_CASES.length,
    );
  });

  it.each(['local', 'uniform'] as const)('say the same in both forms (%s)', (places) => {
    const { batch, queries, heads, points, levels } = SMALL;
    const { reference, offsets, logits, locations, weights } = benchArrays({ ...SMALL, places });
    let sample = 0;
    for (let query = 0; query < batch * queries; query++) {
      for (let head = 0; head < heads; head++) {
        const row = (query * heads + head) * levels.length * points;
        const exps = [...logits.subarray(row, row + levels.length * points)].map(Math.exp);
        const sum = exps.reduce((a, b) => a + b, 0);
        for (let i = 0; i < levels.length * points; i++, sample++) {
          const level = Math.floor(i / points);
          const [height, width] = levels[level]!;
          for (const [axis, size] of [width, height].entries()) {
            const place = reference[2 * (query * levels.length + level) + axis]!;
            const location = locations[2 * sample + axis]!;
            expect(location).toBeCloseTo(place + offsets[2 * sample + axis]! / size, 5);
            const pixel = location * size - 0.5;
            expect(Math.abs(pixel - Math.round(pixel))).toBeGreaterThan(0.049);
          }
          expect(weights[sample]).toBeCloseTo(exps[i]! / sum, 6);
        }
      }
    }
  });

  it('have local samples within four pixels of the place of their query', () => {
    const { offsets } = benchArrays(SMALL);
    expect(offsets.every((offset) => Math.abs(offset) < 5)).toBe(true);
    const far = benchArrays({ ...SMALL, levels: [[30, 40]], queries: 1200, places: 'uniform' });
    expect(far.offsets.some((offset) => Math.abs(offset) > 10)).toBe(true);
  });
});
