// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { gelu } from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import { ROUTES, take } from './engines.js';

/** Integral of the normal density from minus infinity, by Simpson's rule. */
function phi(x: number): number {
  const steps = 2000;
  const low = -12;
  const h = (x - low) / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    sum += density(low + i * h) * (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2);
  }
  return (sum * h) / 3;
}

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

describe.each(ROUTES)('gelu on $engine, $path', (route) => {
  beforeAll(() => take(route));
  const op = (x: tf.Tensor) => gelu(x, { path: route.path });

  it('is x times the normal distribution, and so is its slope', () => {
    const x = Float32Array.from({ length: 187 }, (_, i) => (i - 93) / 10.3);
    const got = valuesOf(op(tf.tensor1d(x)));
    const slope = valuesOf(tf.grad(op)(tf.tensor1d(x)));
    expect(
      relativeError(
        got,
        [...x].map((v) => v * phi(v)),
      ),
    ).toBeLessThan(2e-6);
    expect(
      relativeError(
        slope,
        [...x].map((v) => phi(v) + v * density(v)),
      ),
    ).toBeLessThan(2e-6);
  });

  it('keeps NaN, zero and infinity', () => {
    const got = valuesOf(op(tf.tensor1d([Number.NaN, 0, Number.POSITIVE_INFINITY, 3e38])));
    expect([...got]).toEqual([Number.NaN, 0, Number.POSITIVE_INFINITY, Math.fround(3e38)]);
  });

  it('keeps shapes, also empty ones', () => {
    expect(op(tf.zeros([2, 0, 3])).shape).toEqual([2, 0, 3]);
    expect(op(tf.scalar(1)).shape).toEqual([]);
    expect(() => gelu(tf.zeros([2], 'int32'))).toThrow(
      /\[gelu\] expected type float32 for x but received int32/,
    );
  });
});
