// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Random } from '../../../src/random.js';
import { groupBias, noiseBoxes } from '../../../src/train/grounding/denoising.js';
import { assignDense } from '../../../src/train/grounding/dense_targets.js';

describe('assignDense', () => {
  const shapes: [number, number][] = [
    [20, 20],
    [10, 10],
    [5, 5],
  ];

  it('gives a small object tokens of the finest level around its centre', () => {
    const { object } = assignDense(Float32Array.from([0.5, 0.5, 0.1, 0.1]), shapes, 5);
    const tokens = [...object.keys()].filter((t) => object[t] === 0);
    expect(tokens).toHaveLength(5);
    expect(tokens.every((t) => t < 400)).toBe(true);
    for (const t of tokens) {
      const x = ((t % 20) + 0.5) / 20;
      const y = (Math.floor(t / 20) + 0.5) / 20;
      expect(Math.hypot(x - 0.5, y - 0.5)).toBeLessThan(0.12);
    }
  });

  it('gives a large object tokens of the coarsest level', () => {
    const { object } = assignDense(Float32Array.from([0.5, 0.5, 0.8, 0.8]), shapes, 5);
    const tokens = [...object.keys()].filter((t) => object[t] === 0);
    expect(tokens.every((t) => t >= 500)).toBe(true);
  });

  it('gives a token wanted twice to the nearer object, and nothing to a picture without objects', () => {
    const boxes = Float32Array.from([0.5, 0.5, 0.1, 0.1, 0.53, 0.5, 0.1, 0.1]);
    const { object } = assignDense(boxes, shapes, 5);
    expect(new Set(object)).toEqual(new Set([-1, 0, 1]));
    expect(assignDense(new Float32Array(0), shapes, 5).object.every((o) => o === -1)).toBe(true);
  });
});

describe('noiseBoxes', () => {
  it('keeps near copies overlapping and moves far ones away, all inside the picture', () => {
    const box = [0.4, 0.6, 0.2, 0.1] as const;
    const random = new Random(5);
    for (let i = 0; i < 200; i++) {
      const noised = noiseBoxes(Float32Array.from(box), 2, { groups: 2, noise: 0.4 }, random);
      expect(noised).toHaveLength(16);
      const near = noised.subarray(0, 4);
      const far = noised.subarray(8, 12);
      expect(Math.abs(near[0]! - box[0])).toBeLessThanOrEqual(0.4 * 0.1 + 1e-6);
      expect(Math.abs(far[0]! - box[0])).toBeGreaterThanOrEqual(0.8 * 0.1 - 1e-6);
      for (const value of noised) {
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThan(1);
      }
    }
  });
});

describe('noiseBoxes in groups', () => {
  it('makes near and far copies by turns, as far away as the noise says', () => {
    const box = [0.5, 0.5, 0.2, 0.2] as const;
    for (const noise of [0.1, 0.5]) {
      const random = new Random(2);
      for (let i = 0; i < 50; i++) {
        const noised = noiseBoxes(Float32Array.from(box), 1, { groups: 3, noise }, random);
        const away = [0, 1, 2].map((group) => Math.abs(noised[4 * group]! - box[0]) / (box[2] / 2));
        expect(away[0]).toBeLessThanOrEqual(noise + 1e-6);
        expect(away[1]).toBeGreaterThanOrEqual(2 * noise - 1e-6);
        expect(away[1]).toBeLessThanOrEqual(4 * noise + 1e-6);
        expect(away[2]).toBeLessThanOrEqual(noise + 1e-6);
      }
    }
  });
});

describe('groupBias', () => {
  it('lets each group see only itself', () => {
    const bias = groupBias(2, 1, 2); // groups: [0, 1], [2], [3]
    const seen = Array.from({ length: 4 }, (_, i) =>
      [...bias.subarray(4 * i, 4 * i + 4)].map((b) => b === 0),
    );
    expect(seen).toEqual([
      [true, true, false, false],
      [true, true, false, false],
      [false, false, true, false],
      [false, false, false, true],
    ]);
  });
});
