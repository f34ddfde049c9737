// SPDX-License-Identifier: Apache-2.0
import type { Window } from '../../geo/index.js';
import type { BoxXyxy } from './types.js';

/** Windows of one size that cover an area, evenly spread, row by row; they overlap where the size does not divide it. */
export function gridWindows(area: Window, size: number): Window[] {
  const starts = (from: number, length: number): { start: number; length: number }[] => {
    if (length <= size) return [{ start: from, length }];
    const count = Math.ceil(length / size);
    return Array.from({ length: count }, (_, i) => ({
      start: from + Math.round((i * (length - size)) / (count - 1)),
      length: size,
    }));
  };
  const columns = starts(area.x, area.width);
  return starts(area.y, area.height).flatMap((row) =>
    columns.map((column) => ({ x: column.start, y: row.start, width: column.length, height: row.length })),
  );
}

/**
 * Boxes of a picture in pixels of a window of it, resized. Clipped to the window; those of which less than `minVisible`
 * of the area remains are left out, for nobody could say from what is left how large they are.
 *
 * @param size of the resized window
 * @param minVisible share of the area, default 0.4
 */
export function cropObjects<T extends { box: BoxXyxy }>(
  objects: readonly T[],
  window: Window,
  size: { width: number; height: number },
  minVisible = 0.4,
): (T & { box: [number, number, number, number] })[] {
  const fx = size.width / window.width;
  const fy = size.height / window.height;
  return objects.flatMap((object) => {
    const [x0, y0, x1, y1] = object.box;
    const left = Math.max(x0, window.x);
    const top = Math.max(y0, window.y);
    const right = Math.min(x1, window.x + window.width);
    const bottom = Math.min(y1, window.y + window.height);
    if (right <= left || bottom <= top) return [];
    if ((right - left) * (bottom - top) < minVisible * (x1 - x0) * (y1 - y0)) return [];
    const box: [number, number, number, number] = [
      (left - window.x) * fx,
      (top - window.y) * fy,
      (right - window.x) * fx,
      (bottom - window.y) * fy,
    ];
    return [{ ...object, box }];
  });
}
