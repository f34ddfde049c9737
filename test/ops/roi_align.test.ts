// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { roiAlign } from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import { ROI_ALIGN_CASES, type RoiAlignCase } from '../cases/roi_align.js';
import { ROUTES, take } from './engines.js';

/** Cells and weights of a bilinear sample, by the definition. */
function sample(y: number, x: number, height: number, width: number): [number, number][] {
  if (y < -1 || x < -1 || y > height || x > width) return [];
  const [cy, cx] = [Math.min(Math.max(y, 0), height - 1), Math.min(Math.max(x, 0), width - 1)];
  const [y0, x0] = [Math.floor(cy), Math.floor(cx)];
  const [y1, x1] = [Math.min(y0 + 1, height - 1), Math.min(x0 + 1, width - 1)];
  const [dy, dx] = [cy - y0, cx - x0];
  return [
    [y0 * width + x0, (1 - dy) * (1 - dx)],
    [y0 * width + x1, (1 - dy) * dx],
    [y1 * width + x0, dy * (1 - dx)],
    [y1 * width + x1, dy * dx],
  ];
}

/** The definition and its gradient. @returns what comes out, and the gradient of the maps */
function naive(entry: RoiAlignCase, value: Float32Array, upstream: Float32Array) {
  const { batch, channels, maps, boxes, grid, sampling, aligned } = entry;
  const [rows, columns] = grid;
  const cells = maps.reduce((sum, [h, w]) => sum + h * w, 0);
  const out = new Float64Array(upstream.length);
  const grad = new Float64Array(value.length);
  for (let n = 0; n < batch * boxes.length; n++) {
    const [x0, y0, x1, y1, level] = boxes[n % boxes.length]!;
    if (level >= maps.length) continue;
    const [mapHeight, mapWidth, scale] = maps[level]!;
    const before = maps.slice(0, level).reduce((sum, [h, w]) => sum + h * w, 0);
    const from = Math.floor(n / boxes.length) * cells + before;
    const least = aligned ? 0 : 1;
    const height = Math.max((y1 - y0) * scale, least) / rows;
    const width = Math.max((x1 - x0) * scale, least) / columns;
    const [ny, nx] = [sampling || Math.ceil(height), sampling || Math.ceil(width)];
    const shift = aligned ? 0.5 : 0;
    for (let cell = 0; cell < rows * columns; cell++) {
      for (let s = 0; s < ny * nx; s++) {
        const y =
          y0 * scale - shift + height * (Math.floor(cell / columns) + (Math.floor(s / nx) + 0.5) / ny);
        const x = x0 * scale - shift + width * ((cell % columns) + ((s % nx) + 0.5) / nx);
        for (const [place, weight] of sample(y, x, mapHeight, mapWidth)) {
          for (let c = 0; c < channels; c++) {
            const [at, to] = [(from + place) * channels + c, (n * rows * columns + cell) * channels + c];
            out[to]! += (weight / (ny * nx)) * value[at]!;
            grad[at]! += (weight / (ny * nx)) * upstream[to]!;
          }
        }
      }
    }
  }
  return [out, grad];
}

/** What the op is called with. */
function inputsOf({ batch, channels, maps, boxes, grid }: RoiAlignCase) {
  const cells = maps.reduce((sum, [h, w]) => sum + h * w, 0);
  const all = Array.from({ length: batch }, () => boxes);
  return {
    value: tf.randomNormal([batch, cells, channels], 0, 1, 'float32', 3) as tf.Tensor3D,
    upstream: tf.randomNormal([batch, boxes.length, ...grid, channels], 0, 1, 'float32', 4),
    sizes: maps.map(([height, width, scale]) => ({ height, width, scale })),
    corners: tf.tensor3d(all.map((own) => own.map(([x0, y0, x1, y1]) => [x0, y0, x1, y1]))),
    level: tf.tensor2d(
      all.map((own) => own.map(([, , , , level]) => level)),
      [batch, boxes.length],
      'int32',
    ),
  };
}

describe.each(ROUTES)('roiAlign on $engine, $path', ({ engine, path }) => {
  beforeAll(() => take({ engine, path }));

  it.each(ROI_ALIGN_CASES)('equals the definition: $name', (entry) => {
    tf.tidy(() => {
      const { value, upstream, sizes, corners, level } = inputsOf(entry);
      const { grid, sampling, aligned } = entry;
      const op = (x: tf.Tensor) =>
        roiAlign(x as tf.Tensor3D, sizes, corners, level, { grid, sampling, aligned, path });
      const [out, grad] = naive(entry, valuesOf(value), valuesOf(upstream));
      expect(relativeError(valuesOf(op(value)), out!)).toBeLessThan(3e-6);
      const own = tf.grad((x) => tf.mul(op(x), upstream))(value);
      expect(relativeError(valuesOf(own), grad!)).toBeLessThan(3e-6);
    });
  });

  it('shows a box that is not finite, and gives 0 for one of no map', () => {
    const corners = tf.tensor3d([
      [
        [0, 0, Number.NaN, 2],
        [0, 0, 2, 2],
        [0, 0, 2, 2],
      ],
    ]);
    const level = tf.tensor2d([[0, 0, 7]], [1, 3], 'int32');
    const sizes = [{ height: 2, width: 3, scale: 1 }];
    const y = roiAlign(tf.ones([1, 6, 1]), sizes, corners, level, { grid: [1, 1], path });
    const [bad, good, none] = valuesOf(y);
    expect([bad, none]).toEqual([Number.NaN, 0]);
    expect(good).toBeCloseTo(1, 6);
  });
});

it.each<[string, [number, number, number], [number, number, number], RegExp]>([
  ['other cells', [1, 5, 1], [1, 1, 4], /for value but received \[1, 5, 1\]/],
  ['no boxes', [1, 6, 1], [1, 0, 4], /for boxes but received \[1, 0, 4\]/],
  ['another batch', [1, 6, 1], [2, 1, 4], /for boxes but received \[2, 1, 4\]/],
])('refuses %s', (_, value, boxes, message) => {
  const sizes = [{ height: 2, width: 3, scale: 1 }];
  const level = tf.zeros([boxes[0]!, boxes[1]!], 'int32') as tf.Tensor2D;
  const call = () => roiAlign(tf.zeros(value), sizes, tf.zeros(boxes), level);
  expect(call).toThrow(message);
});
