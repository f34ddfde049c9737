// SPDX-License-Identifier: Apache-2.0
import type { RgbImage } from '../models/types.js';

/** For each output position: first source index and the weights from there on (they sum to 1). */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  weights: Float32Array;
  stride: number;
}

/**
 * Triangle filter, widened when shrinking so that every source pixel counts (the usual antialiased bilinear).
 * `start` and `length` delimit the source interval, in fractional pixels, that the `outputs` positions cover.
 */
function triangleTaps(sourceSize: number, start: number, length: number, outputs: number): Taps {
  const scale = length / outputs;
  const radius = Math.max(1, scale);
  const stride = Math.ceil(radius) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weights = new Float32Array(outputs * stride);
  for (let i = 0; i < outputs; i++) {
    const centre = start + (i + 0.5) * scale;
    // A window may end at the picture's edge: then the nearest pixel stands in for what lies beyond.
    const begin = Math.min(Math.max(0, Math.floor(centre - radius + 0.5)), sourceSize - 1);
    const end = Math.max(begin + 1, Math.min(sourceSize, Math.floor(centre + radius + 0.5)));
    let sum = 0;
    for (let j = begin; j < end && j - begin < stride; j++) {
      const weight = Math.max(0, 1 - Math.abs(j + 0.5 - centre) / radius);
      weights[i * stride + (j - begin)] = weight;
      sum += weight;
    }
    if (sum === 0) {
      weights[i * stride] = 1;
      sum = 1;
    }
    first[i] = begin;
    count[i] = Math.min(end - begin, stride);
    for (let k = 0; k < stride; k++) weights[i * stride + k]! /= sum;
  }
  return { first, count, weights, stride };
}

/**
 * Part of a picture at another size, by an antialiased triangle filter. The same bytes on every machine.
 *
 * @param image source picture
 * @param window `[x, y, width, height]` in fractional source pixels
 * @returns a picture of `width` by `height` pixels
 */
export function resampleRgb(
  image: RgbImage,
  window: readonly [x: number, y: number, width: number, height: number],
  width: number,
  height: number,
): RgbImage {
  const columns = triangleTaps(image.width, window[0], window[2], width);
  const rows = triangleTaps(image.height, window[1], window[3], height);
  const firstRow = rows.first[0]!;
  const lastRow = rows.first[height - 1]! + rows.count[height - 1]!;
  const horizontal = shrinkRows(image, columns, width, firstRow, lastRow);
  const data = new Uint8Array(width * height * 3);
  const rowLength = width * 3;
  const sums = new Float32Array(rowLength);
  for (let y = 0; y < height; y++) {
    sums.fill(0.5);
    for (let k = 0; k < rows.count[y]!; k++) {
      const weight = rows.weights[y * rows.stride + k]!;
      const offset = (rows.first[y]! + k - firstRow) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i]! += weight * horizontal[offset + i]!;
    }
    for (let i = 0; i < rowLength; i++) data[y * rowLength + i] = Math.min(255, sums[i]!);
  }
  return { width, height, data };
}

/** The horizontal pass over rows `[firstRow, lastRow)`. */
function shrinkRows(
  image: RgbImage,
  columns: Taps,
  width: number,
  firstRow: number,
  lastRow: number,
): Float32Array {
  const out = new Float32Array((lastRow - firstRow) * width * 3);
  for (let y = firstRow; y < lastRow; y++) {
    for (let x = 0; x < width; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      let at = (y * image.width + columns.first[x]!) * 3;
      for (let k = 0; k < columns.count[x]!; k++, at += 3) {
        const weight = columns.weights[x * columns.stride + k]!;
        red += weight * image.data[at]!;
        green += weight * image.data[at + 1]!;
        blue += weight * image.data[at + 2]!;
      }
      const target = ((y - firstRow) * width + x) * 3;
      out[target] = red;
      out[target + 1] = green;
      out[target + 2] = blue;
    }
  }
  return out;
}
