// SPDX-License-Identifier: Apache-2.0

/** An 8-bit RGB picture, row-major, three bytes a pixel. */
export interface RgbImage {
  width: number;
  height: number;
  data: Uint8Array;
}

/** Character span `[begin, end)` in a sentence, in Unicode code points (not UTF-16 units). */
export type Span = readonly [begin: number, end: number];

/** `[x0, y0, x1, y1]` in pixels; (0, 0) is the outer corner of the first pixel. */
export type BoxXyxy = readonly [x0: number, y0: number, x1: number, y1: number];
