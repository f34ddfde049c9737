// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { noised } from '../../../src/models/layers/noise.js';
import { RandomStream } from '../../../src/ops/index.js';

const pass = (seed: number) => ({
  training: true,
  random: new RandomStream(tf.tensor1d([seed, 7], 'int32')),
});

describe.each(['tensorflow', 'cpu'] as const)('noised on engine %s', (engine) => {
  let x: tf.Tensor2D;
  beforeAll(async () => {
    await ready({ engine });
    // Vectors of sizes 1, 2, ... 20.
    x = tf.mul(tf.ones([20, 1000]), tf.range(1, 21).reshape([20, 1]));
  });

  it('adds noise in proportion to each vector', () => {
    const noise = tf.sub(noised(x, 0.5, pass(1)), x);
    const { mean, variance } = tf.moments(noise, 1);
    const deviations = tf.sqrt(variance).dataSync();
    mean.dataSync().forEach((value, i) => {
      expect(Math.abs(value)).toBeLessThan(0.1 * (i + 1));
      expect(Math.abs(deviations[i]! - 0.5 * (i + 1))).toBeLessThan(0.06 * (i + 1));
    });
  });

  it('draws by the stream', () => {
    const first = noised(x, 0.5, pass(2)).dataSync();
    expect(noised(x, 0.5, pass(2)).dataSync()).toEqual(first);
    expect(noised(x, 0.5, pass(3)).dataSync()).not.toEqual(first);
  });

  it('is a constant to the gradient', () => {
    const weights = tf.randomNormal(x.shape);
    const dx = tf.grad((input) => tf.sum(tf.mul(noised(input, 0.5, pass(4)), weights)))(x);
    expect(dx.dataSync()).toEqual(weights.dataSync());
  });

  it('does nothing outside training or at level 0', () => {
    expect(noised(x, 0.5, { training: false })).toBe(x);
    expect(noised(x, 0, pass(5))).toBe(x);
  });

  it('refuses to train without a stream', () => {
    expect(() => noised(x, 0.5, { training: true })).toThrow(/expected a RandomStream/);
  });
});
