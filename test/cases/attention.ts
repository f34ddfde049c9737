// SPDX-License-Identifier: Apache-2.0
import type { AttentionLayout } from '../../src/ops/index.js';

export interface AttentionCase {
  name: string;
  layout: AttentionLayout;
  batch: number;
  heads: number;
  queries: number;
  keys: number;
  /** Channels of a head. */
  dim: number;
  /** Shapes of what is added to the scores. */
  bias?: number[];
  mask?: number[];
}

export const ATTENTION_CASES: readonly AttentionCase[] = [
  { name: 'one of each', layout: 'q,k,v', batch: 1, heads: 1, queries: 1, keys: 1, dim: 1 },
  { name: 'odd sizes', layout: 'q,k,v', batch: 2, heads: 3, queries: 7, keys: 5, dim: 3 },
  { name: 'queries with keys', layout: 'qk,v', batch: 2, heads: 2, queries: 18, keys: 18, dim: 16 },
  { name: 'keys with values', layout: 'q,kv', batch: 2, heads: 2, queries: 33, keys: 6, dim: 8 },
  {
    name: 'all in one, keys hidden',
    layout: 'qkv',
    batch: 3,
    heads: 2,
    queries: 9,
    keys: 9,
    dim: 4,
    mask: [3, 1, 1, 9],
  },
  {
    name: 'one mask for all',
    layout: 'qk,v',
    batch: 2,
    heads: 2,
    queries: 10,
    keys: 10,
    dim: 4,
    mask: [1, 1, 10, 10],
  },
  {
    name: 'windows: a bias of each head, a mask of each window',
    layout: 'qkv',
    batch: 20,
    heads: 2,
    queries: 9,
    keys: 9,
    dim: 5,
    bias: [2, 9, 9],
    mask: [4, 1, 9, 9],
  },
  {
    name: 'a bias of all heads and queries',
    layout: 'q,k,v',
    batch: 3,
    heads: 2,
    queries: 4,
    keys: 6,
    dim: 2,
    bias: [1, 1, 6],
  },
];
