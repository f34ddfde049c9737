// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { dropout } from '../../../src/models/layers/dropout.js';
import { RandomStream } from '../../../src/ops/index.js';

/** The stream of a seed. */
const stream = (seed: number) => new RandomStream(tf.tensor1d([seed, 7], 'int32'));

describe.each(['tensorflow', 'cpu'] as const)('dropout on engine %s', (engine) => {
  let x: tf.Tensor;
  beforeAll(async () => {
    await ready({ engine });
    x = tf.ones([50, 40]);
  });

  it('zeroes a share of the values and keeps the mean', () => {
    const values = Array.from(dropout(x, 0.25, stream(1)).dataSync());
    const zeros = values.filter((value) => value === 0).length / values.length;
    expect(Math.abs(zeros - 0.25)).toBeLessThan(0.03);
    expect(values.filter((value) => value !== 0).every((value) => Math.abs(value - 4 / 3) < 1e-6)).toBe(true);
  });

  it('lets gradients through where values went through', () => {
    const y = dropout(x, 0.5, stream(2)).dataSync();
    const dx = tf
      .grad((input) => tf.sum(dropout(input, 0.5, stream(2))))(x)
      .dataSync();
    expect(dx).toEqual(y);
  });

  it('does nothing without a generator or a rate', () => {
    expect(dropout(x, 0.5, null)).toBe(x);
    expect(dropout(x, 0, stream(1))).toBe(x);
  });

  it.each([-0.1, 1, Number.NaN])('refuses the rate %d', (rate) => {
    expect(() => dropout(x, rate, null)).toThrow(/expected a rate in \[0, 1\)/);
  });
});
