// SPDX-License-Identifier: Apache-2.0
import type { Window } from './band_source.js';

export interface TilePlan {
  /** Side of a tile, pixels of the picture. */
  tile: number;
  /** Pixels that neighbours share. An object up to this size is seen whole by at least one tile. Default a quarter tile. */
  overlap?: number;
}

/** A part of a picture that is looked at in one go. */
export interface Tile extends Window {
  index: number;
  /**
   * `[x0, y0, x1, y1]`: the part that this tile answers for. The cores of all tiles cover every point of the picture once.
   */
  core: readonly [x0: number, y0: number, x1: number, y1: number];
}

/**
 * Covers a picture with overlapping tiles, row by row from the top left. All have the full size (the last ones move
 * inwards) except where the picture itself is smaller.
 */
export function planTiles(width: number, height: number, plan: TilePlan): Tile[] {
  const { tile } = plan;
  const overlap = plan.overlap ?? Math.floor(tile / 4);
  const fits = [width, height, tile, overlap].every(Number.isInteger) && width > 0 && height > 0;
  if (!fits || tile <= 0 || overlap < 0 || overlap * 2 > tile) {
    throw new RangeError(
      '[planTiles] expected whole sizes above 0 and an overlap of at most half a tile ' +
        `but received ${width}x${height}, tile ${tile}, overlap ${overlap}`,
    );
  }
  const columns = spans(width, tile, overlap);
  const rows = spans(height, tile, overlap);
  return rows.flatMap((row, j) =>
    columns.map((column, i) => ({
      index: j * columns.length + i,
      x: column.start,
      y: row.start,
      width: column.end - column.start,
      height: row.end - row.start,
      core: [column.coreStart, row.coreStart, column.coreEnd, row.coreEnd] as const,
    })),
  );
}

interface Interval {
  start: number;
  end: number;
  coreStart: number;
  coreEnd: number;
}

/** Intervals of length `tile` that cover `[0, size)`, evenly spread; cores meet in the middle of each overlap. */
function spans(size: number, tile: number, overlap: number): Interval[] {
  if (size <= tile) return [{ start: 0, end: size, coreStart: 0, coreEnd: size }];
  const count = Math.ceil((size - overlap) / (tile - overlap));
  const starts = Array.from({ length: count }, (_, i) => Math.round((i * (size - tile)) / (count - 1)));
  const middle = (i: number): number => (starts[i]! + starts[i - 1]! + tile) / 2;
  return starts.map((start, i) => ({
    start,
    end: start + tile,
    coreStart: i === 0 ? 0 : middle(i),
    coreEnd: i === count - 1 ? size : middle(i + 1),
  }));
}
