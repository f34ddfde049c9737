// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { giouXyxy } from '../../../src/models/nms.js';
import type { BoxXyxy } from '../../../src/models/types.js';
import { referringPrecision } from '../../../src/train/evaluators/index.js';

const target: BoxXyxy = [0, 0, 10, 10];
const far: BoxXyxy = [50, 50, 60, 60];

describe('referringPrecision', () => {
  it('counts the rank of the first hit', () => {
    const miss = (score: number) => ({ box: far, score });
    const predictions = [miss(0.9), miss(0.8), { box: target, score: 0.5 }, miss(0.1)];
    const found = referringPrecision([
      { id: 1, dataset: 'a', target, predictions },
      { id: 2, dataset: 'a', target, predictions: [{ box: target, score: 0.2 }] },
      { id: 3, dataset: 'b', target, predictions: [] },
    ]);
    expect(found).toEqual({ a: { 1: 0.5, 5: 1, 10: 1 }, b: { 1: 0, 5: 0, 10: 0 } });
  });

  it('asks for generalised overlap', () => {
    // An overlap of 0.5, but 80 of the hull's 180 belong to neither.
    const beside: BoxXyxy = [0, 0, 12, 15];
    const cross: BoxXyxy = [-5, 2, 15, 8];
    expect(giouXyxy(target, beside)).toBeCloseTo(100 / 180, 12);
    expect(giouXyxy(target, cross)).toBeCloseTo(60 / 160 - 40 / 200, 12);
    expect(giouXyxy(target, far)).toBeCloseTo(-(3600 - 200) / 3600, 12);
    const precision = (box: BoxXyxy) =>
      referringPrecision([{ id: 1, dataset: 'a', target, predictions: [{ box, score: 1 }] }]).a![1];
    expect([precision(beside), precision(cross)]).toEqual([1, 0]);
  });

  it('ranks equal scores by their boxes, whatever the order they come in', () => {
    const two = [
      { box: target, score: 0.5 },
      { box: far, score: 0.5 },
    ];
    for (const predictions of [two, [...two].reverse()]) {
      expect(referringPrecision([{ id: 1, dataset: 'a', target, predictions }]).a![1]).toBe(0);
    }
  });

  it('reports the datasets asked for, with 0 where there is nothing', () => {
    expect(referringPrecision([], ['a'])).toEqual({ a: { 1: 0, 5: 0, 10: 0 } });
  });

  it('refuses numbers that are none, naming the expression', () => {
    const predictions = [{ box: target, score: Number.NaN }];
    expect(() => referringPrecision([{ id: 7, dataset: 'a', target, predictions }])).toThrow(
      /referring expression 7: prediction 0 has score NaN/,
    );
  });
});
