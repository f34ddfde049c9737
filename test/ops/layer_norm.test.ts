// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { layerNorm } from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import { LAYER_NORM_CASES } from '../cases/layer_norm.js';
import { ROUTES, take } from './engines.js';

/** The definition and its gradient in double precision. */
function naive(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  upstream: Float32Array,
  eps: number,
) {
  const columns = weight.length;
  const y = new Float64Array(x.length);
  const gradX = new Float64Array(x.length);
  const gradWeight = new Float64Array(columns);
  const gradBias = new Float64Array(columns);
  for (let from = 0; from < x.length; from += columns) {
    const row = Float64Array.from(x.subarray(from, from + columns));
    const mean = row.reduce((sum, v) => sum + v, 0) / columns;
    const scale = 1 / Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / columns + eps);
    const normal = row.map((v) => (v - mean) * scale);
    const slope = normal.map((_, c) => upstream[from + c]! * weight[c]!);
    const shift = slope.reduce((sum, v) => sum + v, 0) / columns;
    const turn = slope.reduce((sum, v, c) => sum + v * normal[c]!, 0) / columns;
    normal.forEach((n, c) => {
      y[from + c] = n * weight[c]! + bias[c]!;
      gradX[from + c] = scale * (slope[c]! - shift - n * turn);
      gradWeight[c]! += upstream[from + c]! * n;
      gradBias[c]! += upstream[from + c]!;
    });
  }
  return [y, gradX, gradWeight, gradBias];
}

describe.each(ROUTES)('layerNorm on $engine, $path', (route) => {
  beforeAll(() => take(route));

  it.each(LAYER_NORM_CASES)('equals the definition: $shape', ({ shape, eps }) => {
    tf.tidy(() => {
      const columns = shape.at(-1)!;
      const inputs = [shape, [columns], [columns]].map((s, i) =>
        tf.randomNormal(s, 0.3, 1, 'float32', i + 1),
      );
      const upstream = tf.randomNormal(shape, 0, 1, 'float32', 9);
      const op = (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor) =>
        layerNorm(x, weight, bias, eps, { path: route.path });
      const grads = tf.grads((x, w, b) => tf.mul(op(x!, w!, b!), upstream))(inputs);
      const [x, weight, bias] = inputs as [tf.Tensor, tf.Tensor, tf.Tensor];
      const wanted = naive(valuesOf(x), valuesOf(weight), valuesOf(bias), valuesOf(upstream), eps);
      [op(x, weight, bias), ...grads].forEach((got, i) => {
        // A single column has variance 0, so that rounding is blown up by 1 / sqrt(eps).
        expect(relativeError(valuesOf(got), wanted[i]!)).toBeLessThan(columns < 3 ? 5e-4 : 3e-6);
      });
    });
  });

  it('shows NaN in its row only', () => {
    const y = layerNorm(tf.tensor2d([1, Number.NaN, 1, 2], [2, 2]), tf.ones([2]), tf.zeros([2]), 1e-5, {
      path: route.path,
    });
    expect([...valuesOf(y)].map(Number.isNaN)).toEqual([true, true, false, false]);
  });

  it.each([
    ['another weight', () => layerNorm(tf.zeros([2, 3]), tf.zeros([2]), tf.zeros([3])), /for weight.*\[2\]/],
    [
      'another bias',
      () => layerNorm(tf.zeros([2, 3]), tf.zeros([3]), tf.zeros([1, 3])),
      /for bias.*\[1, 3\]/,
    ],
    ['a scalar', () => layerNorm(tf.scalar(1), tf.zeros([1]), tf.zeros([1])), /for x but received \[\]/],
  ])('refuses %s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
