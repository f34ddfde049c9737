// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { dropout } from '../../../src/models/layers/dropout.js';
import { Random } from '../../../src/random.js';

describe('dropout', () => {
  const x = tf.ones([50, 40]);

  it('zeroes a share of the values and keeps the mean', () => {
    const values = Array.from(dropout(x, 0.25, new Random(1)).dataSync());
    const zeros = values.filter((value) => value === 0).length / values.length;
    expect(Math.abs(zeros - 0.25)).toBeLessThan(0.03);
    expect(values.filter((value) => value !== 0).every((value) => Math.abs(value - 4 / 3) < 1e-6)).toBe(true);
  });

  it('lets gradients through where values went through', () => {
    const y = dropout(x, 0.5, new Random(2)).dataSync();
    const dx = tf
      .grad((input) => tf.sum(dropout(input, 0.5, new Random(2))))(x)
      .dataSync();
    expect(dx).toEqual(y);
  });

  it('does nothing without a generator or a rate', () => {
    expect(dropout(x, 0.5, null)).toBe(x);
    expect(dropout(x, 0, new Random(1))).toBe(x);
  });

  it.each([-0.1, 1, Number.NaN])('refuses the rate %d', (rate) => {
    expect(() => dropout(x, rate, null)).toThrow(/expected a rate in \[0, 1\)/);
  });
});
