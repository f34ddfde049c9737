// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { BoxXyxy } from '../../../src/models/types.js';
import { evaluateGrounded, groundedTable } from '../../../src/train/evaluators/phrases.js';

const box: BoxXyxy = [10, 10, 30, 40];
const elsewhere: BoxXyxy = [60, 60, 80, 80];
const sample = (form: string, truth: BoxXyxy[], predictions: [BoxXyxy, number][]) => ({
  id: form,
  form,
  width: 100,
  height: 100,
  truth,
  predictions: predictions.map(([at, score]) => ({ box: at, score })),
});

describe('evaluateGrounded', () => {
  const figures = evaluateGrounded([
    sample('kind', [box], [[box, 0.9]]),
    sample(
      'kind',
      [box],
      [
        [elsewhere, 0.8],
        [box, 0.7],
      ],
    ),
    sample('relation', [box], [[elsewhere, 0.6]]),
    sample('absent', [], [[elsewhere, 0.1]]),
  ]);

  it('separates the forms of sentence', () => {
    expect(figures.byForm.relation).toEqual({ AP50: 0, count: 1, topScore: 0.6 });
    expect(figures.byForm.absent).toEqual({ AP50: -1, count: 1, topScore: 0.1 });
    // Two truths: found first, missed, found: precision 1 up to recall 0.5, 2/3 after it.
    expect(figures.byForm.kind!.AP50).toBeCloseTo((51 + (50 * 2) / 3) / 101, 12);
  });

  it('counts truths among the best k predictions', () => {
    expect(figures.recallAt[1]).toBeCloseTo(1 / 3, 12);
    expect(figures.recallAt[5]).toBeCloseTo(2 / 3, 12);
    expect(figures.AP).toBeCloseTo(figures.AP50, 12);
  });

  it('counts what is found in a crowd neither for nor against', () => {
    const first = sample(
      'kind',
      [box],
      [
        [elsewhere, 0.8],
        [box, 0.7],
      ],
    );
    expect(evaluateGrounded([first]).AP50).toBeCloseTo(0.5, 12);
    const crowded = { ...first, crowds: [[55, 55, 95, 95]] as BoxXyxy[] };
    expect(evaluateGrounded([crowded]).AP50).toBeCloseTo(1, 12);
    // A crowd is no truth: where nothing else is wanted, nothing can be missed.
    expect(evaluateGrounded([{ ...crowded, truth: [], predictions: [] }]).AP50).toBe(-1);
  });

  it('prints a row for each form', () => {
    const lines = groundedTable(figures).split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[2]).toMatch(/^absent +1 +- +0\.100$/);
  });
});
