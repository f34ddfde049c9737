// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import type { ClassCostName, MatcherOptions } from '../../../src/train/losses/index.js';
import {
  alignmentMaps,
  describeMatching,
  lossContrastive,
  match,
  matchingCosts,
  padTargets,
  stackLayers,
} from '../../../src/train/losses/index.js';
import { SIZES, someOutput, someTargets, values } from './helpers.js';

beforeAll(async () => {
  await ready();
});

const COSTS: ClassCostName[] = ['softmax-token', 'focal-token', 'softmax-class', 'focal-class'];
const optionsOf = (classCost: ClassCostName): MatcherOptions => ({ classCost, class: 1, bbox: 5, giou: 2 });

/** Least sum over all one-to-one choices of a query for each of `count` targets. */
function cheapest(cost: (query: number, target: number) => number, queries: number, count: number): number {
  const search = (target: number, used: number): number => {
    if (target === count) return 0;
    let best = Number.POSITIVE_INFINITY;
    for (let query = 0; query < queries; query++) {
      if (used & (1 << query)) continue;
      best = Math.min(best, cost(query, target) + search(target + 1, used | (1 << query)));
    }
    return best;
  };
  return search(0, 0);
}

describe.each(COSTS)('matcher with %s', (classCost) => {
  it('finds the cheapest matching of every picture and layer', () => {
    const outputs = stackLayers(someOutput(7));
    const counts = [3, 2];
    const targets = someTargets(8, counts, 4);
    const options = optionsOf(classCost);
    const costs = values(matchingCosts(outputs, targets, options));
    const found = values(match(outputs, targets, options).queries);
    for (let item = 0; item < SIZES.batch * SIZES.layers; item++) {
      const count = counts[Math.floor(item / SIZES.layers)]!;
      const cost = (query: number, target: number) => costs[(item * SIZES.queries + query) * 4 + target]!;
      const own = found.slice(item * 4, item * 4 + 4);
      const sum = own.slice(0, count).reduce((total, query, target) => total + cost(query, target), 0);
      expect(sum).toBeCloseTo(cheapest(cost, SIZES.queries, count), 4);
      expect(own.slice(count)).toEqual(Array(4 - count).fill(-1));
    }
  });
});

describe('match', () => {
  it('refuses NaN instead of matching anything with it', () => {
    const output = someOutput(7);
    const broken = { ...output, pred_boxes: tf.mul(output.pred_boxes, Number.NaN) as tf.Tensor3D };
    const run = () => match(stackLayers(broken), someTargets(8, [3, 2], 3), optionsOf('focal-token'));
    expect(run).toThrow(/NaN|invalid|finite/i);
  });

  it('averages the focal cost over tokens, so that long phrases are not dearer', () => {
    const boxes = [[[0.5, 0.5, 0.2, 0.2]]];
    const logits = tf.fill([1, 1, 1, 8], 0.3) as tf.Tensor4D;
    const outputs = { logits, boxes: tf.tensor4d([[boxes[0]!]]) };
    const costOf = (slots: number[]) =>
      values(matchingCosts(outputs, padTargets(boxes, [[slots]], 8), optionsOf('focal-token')))[0]!;
    expect(costOf([1, 2, 3, 4])).toBeCloseTo(costOf([2]), 5);
  });
});

describe('describeMatching', () => {
  it('gives both directions as rows', () => {
    // Two pictures, one layer, three targets, four queries.
    const queries = tf.tensor3d([[[2, 0, -1]], [[-1, 3, -1]]], [2, 1, 3], 'int32');
    const { matched, queryRows, targetRows } = describeMatching(queries, 4);
    expect(values(matched)).toEqual([1, 1, 0, 0, 1, 0]);
    expect(values(queryRows)).toEqual([2, 0, 0, 0, 7, 0]);
    expect(values(targetRows)).toEqual([2, 0, 1, 0, 0, 0, 0, 5]);
  });
});

describe('padTargets', () => {
  it('pads with harmless boxes and a mask', () => {
    const { boxes, mask, positiveMap } = padTargets([[[0.5, 0.5, 0.1, 0.1]], []], [[[0, 2]], []], 3, 2);
    expect(values(mask)).toEqual([1, 0, 0, 0]);
    expect(values(positiveMap).slice(0, 3)).toEqual([1, 0, 1]);
    expect(values(boxes).every((value) => value > 0)).toBe(true);
  });

  it('refuses more targets than it has room for', () => {
    const box = [0.5, 0.5, 0.1, 0.1];
    expect(() => padTargets([[box, box]], [[[0], [0]]], 3, 1)).toThrow(/at most 1 targets.*picture 0/);
  });
});

describe('alignmentMaps', () => {
  // "a ship" and "big red ship": tokens with a start and an end token around them.
  const offsets: [number, number][][] = [
    [
      [0, 0],
      [0, 1],
      [2, 6],
      [0, 0],
    ],
    [
      [0, 0],
      [0, 3],
      [4, 7],
      [8, 12],
      [0, 0],
    ],
  ];

  it('marks the tokens from first to last', () => {
    const [first, second] = alignmentMaps([[[[0, 6]]], [[[4, 12]], [[0, 3]]]], offsets, 5);
    expect([...first!]).toEqual([0, 1, 1, 0, 0]);
    expect([...second!]).toEqual([0, 0, 1, 1, 0, 0, 1, 0, 0, 0]);
  });

  it('looks for the neighbours of a space in the first caption, as MDETR does', () => {
    // Character 3 of the second caption is a space; character 4 of the first lies in its token 2.
    const [, second] = alignmentMaps([[], [[[3, 12]]]], offsets, 5);
    expect([...second!]).toEqual([0, 0, 1, 1, 0]);
  });
});

describe('lossContrastive', () => {
  it('is small for pairs and large for strangers', () => {
    const eye = tf.eye(4) as tf.Tensor2D;
    expect(values(lossContrastive(eye, eye, 0.07))[0]).toBeLessThan(1e-3);
    expect(values(lossContrastive(eye, tf.reverse(eye, 0), 0.07))[0]).toBeGreaterThan(10);
  });
});
