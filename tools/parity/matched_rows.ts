// SPDX-License-Identifier: Apache-2.0

/** Rows of values, flat. */
interface Rows {
  data: ArrayLike<number>;
  /** Values of a row. */
  size: number;
}

/**
 * For each row of `wanted` the closest one of `got` that is not yet taken: lists in the order of scores that lie within
 * rounding of each other cannot be compared place by place.
 * @param same whether rows may be matched at all
 */
export function matchRows(
  wanted: Rows,
  got: Rows,
  same: (wanted: number, got: number) => boolean = () => true,
): number[] {
  const count = got.data.length / got.size;
  const free = new Set(Array.from({ length: count }, (_, i) => i));
  return Array.from({ length: wanted.data.length / wanted.size }, (_, row) => {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const candidate of free) {
      if (!same(row, candidate)) continue;
      let apart = 0;
      for (let i = 0; i < wanted.size; i++) {
        const difference = Number(wanted.data[row * wanted.size + i]) - got.data[candidate * got.size + i]!;
        apart = Math.max(apart, Math.abs(difference));
      }
      if (apart < least) [best, least] = [candidate, apart];
    }
    free.delete(best);
    return best;
  });
}

/** Rows by number; zeros for -1. */
export function takeRows(data: ArrayLike<number>, size: number, rows: readonly number[]): Float64Array {
  const taken = new Float64Array(rows.length * size);
  rows.forEach((row, at) => {
    for (let i = 0; i < size && row >= 0; i++) taken[at * size + i] = data[row * size + i]!;
  });
  return taken;
}
