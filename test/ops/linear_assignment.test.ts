// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { linearAssignment } from '../../src/ops/index.js';
import { cheapest, LINEAR_ASSIGNMENT_CASES, linearAssignmentCosts } from '../cases/linear_assignment.js';
import { ROUTES, take } from './engines.js';

describe.each(ROUTES)('linearAssignment on $engine, $path', (route) => {
  beforeAll(() => take(route));

  const solve = (costs: Float32Array | number[], shape: [number, number, number], sizes: number[]) =>
    tf.tidy(() => {
      const assigned = linearAssignment(tf.tensor3d(costs, shape), tf.tensor1d(sizes, 'int32'), {
        path: route.path,
      });
      expect([assigned.dtype, ...assigned.shape]).toEqual(['int32', shape[0], shape[2]]);
      return assigned.arraySync();
    });

  it.each(LINEAR_ASSIGNMENT_CASES)('finds the cheapest: $name', (entry) => {
    const { queries, targets, sizes } = entry;
    const costs = linearAssignmentCosts(entry);
    const found = solve(costs, [sizes.length, queries, targets], sizes);
    sizes.forEach((size, b) => {
      const matrix = Array.from({ length: queries }, (_, q) =>
        Array.from({ length: targets }, (_, t) => costs[(b * queries + q) * targets + t]!),
      );
      const row = found[b]!;
      expect(row.slice(size)).toEqual(Array(targets - size).fill(-1));
      const used = row.filter((query) => query >= 0);
      expect(new Set(used).size).toBe(used.length);
      expect(used).toHaveLength(Math.min(queries, size));
      const cost = row.reduce((sum, query, t) => sum + (query < 0 ? 0 : matrix[query]![t]!), 0);
      expect(cost).toBeCloseTo(cheapest(matrix, size), 5);
    });
  });

  it('takes batches, queries and targets that are not there', () => {
    expect(solve([], [0, 3, 2], [])).toEqual([]);
    expect(solve([], [2, 0, 3], [3, 1])).toEqual([
      [-1, -1, -1],
      [-1, -1, -1],
    ]);
    expect(solve([], [2, 3, 0], [0, 0])).toEqual([]);
  });

  it('does not look at the costs of padding', () => {
    expect(solve([1, Number.NaN, 0, Number.NaN], [1, 2, 2], [1])).toEqual([[1, -1]]);
  });

  it.each([
    ['NaN', [0, 0, 0, 0, 0, Number.NaN, 0, 0], [2, 2], /costs of batch item 1 but received NaN or -infinity/],
    [
      '-infinity',
      [Number.NEGATIVE_INFINITY, 0, 0, 0, 0, 0, 0, 0],
      [2, 2],
      /batch item 0 but received NaN or/,
    ],
    [
      'a target without a query',
      [0, 0, 0, 0, 0, Infinity, 0, Infinity],
      [2, 2],
      /batch item 1.*too many \+infinity/,
    ],
    ['too many targets', [0, 0, 0, 0, 0, 0, 0, 0], [2, 3], /0 to 2 targets for batch item 1 but received 3/],
    [
      'a negative count',
      [0, 0, 0, 0, 0, 0, 0, 0],
      [-1, 2],
      /0 to 2 targets for batch item 0 but received -1/,
    ],
  ])('refuses %s', (_, costs, sizes, message) => {
    expect(() => solve(costs, [2, 2, 2], sizes)).toThrow(message);
  });

  it.each([
    [
      'costs of rank 2',
      () => linearAssignment(tf.zeros([2, 2]) as tf.Tensor as tf.Tensor3D, tf.tensor1d([2], 'int32')),
      /\[B, Q, T\]/,
    ],
    ['float sizes', () => linearAssignment(tf.zeros([1, 2, 2]), tf.tensor1d([2])), /type int32 for sizes/],
    [
      'other sizes',
      () => linearAssignment(tf.zeros([1, 2, 2]), tf.tensor1d([2, 2], 'int32')),
      /for sizes.*\[2\]/,
    ],
  ])('refuses %s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
