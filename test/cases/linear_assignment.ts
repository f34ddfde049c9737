// SPDX-License-Identifier: Apache-2.0
import { Random } from '../../src/random.js';

/** A batch of problems of one size; `sizes` are the targets of each. */
export interface LinearAssignmentCase {
  name: string;
  queries: number;
  targets: number;
  sizes: number[];
  /** One cost. */
  cost: (random: Random) => number;
}

const uniform = (random: Random) => 2 * random.uniform() - 1;
const coarse = (random: Random) => Math.round(2 * uniform(random));
const forbidding = (random: Random) => (random.uniform() < 0.2 ? Number.POSITIVE_INFINITY : uniform(random));

export const LINEAR_ASSIGNMENT_CASES: readonly LinearAssignmentCase[] = [
  { name: 'one pair', queries: 1, targets: 1, sizes: [1], cost: uniform },
  { name: 'more queries', queries: 6, targets: 4, sizes: [4, 0, 2, 1], cost: uniform },
  { name: 'more targets', queries: 3, targets: 6, sizes: [6, 5, 3, 2], cost: uniform },
  { name: 'square, with ties', queries: 5, targets: 5, sizes: [5, 5, 4], cost: coarse },
  { name: 'forbidden pairs', queries: 6, targets: 5, sizes: [4, 3, 3], cost: forbidding },
  { name: 'no target at all', queries: 4, targets: 3, sizes: [0, 0], cost: uniform },
];

/** Sizes as a matcher has them. */
export const LINEAR_ASSIGNMENT_TIMINGS: readonly LinearAssignmentCase[] = [
  {
    name: '60 queries, 15 targets, 24 problems',
    queries: 60,
    targets: 15,
    sizes: Array(24).fill(15),
    cost: uniform,
  },
  {
    name: '300 queries, 100 targets, 6 problems',
    queries: 300,
    targets: 100,
    sizes: Array(6).fill(100),
    cost: uniform,
  },
];

/** Costs of a case, `[batch, queries, targets]`. */
export function linearAssignmentCosts(entry: LinearAssignmentCase, seed = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: entry.sizes.length * entry.queries * entry.targets }, () =>
    entry.cost(random),
  );
}

/** Least total cost of one problem, by trying everything. @param costs `[queries][targets]` */
export function cheapest(costs: readonly (readonly number[])[], targets: number): number {
  const pairs = Math.min(costs.length, targets);
  const visit = (query: number, taken: number, left: number): number => {
    if (left === 0) return 0;
    if (query === costs.length) return Number.POSITIVE_INFINITY;
    let best = visit(query + 1, taken, left);
    for (let t = 0; t < targets; t++) {
      if ((taken >> t) & 1) continue;
      best = Math.min(best, costs[query]![t]! + visit(query + 1, taken | (1 << t), left - 1));
    }
    return best;
  };
  return visit(0, 0, pairs);
}
