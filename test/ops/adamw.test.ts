// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../src/engine/index.js';
import { type AdamWVectors, adamW, squaredNorm } from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import { ROUTES, take } from './engines.js';

const BETAS = [0.9, 0.999] as const;
/** Decay, epsilon, rate, share. */
const NUMBERS = [0.999, 1e-8, 0.01, 0.2];
const SCALE = 0.5;

const CASES = [
  { name: 'one value', shapes: [[1]] },
  { name: 'odd shapes', shapes: [[3, 5], [7], [1, 1, 2], []] },
  { name: 'several pieces of work', shapes: [[300, 70], [16384], [5]] },
];

function vectorsOf(size: number, averages: boolean): AdamWVectors {
  const random = (seed: number, low: number) =>
    tf.randomUniform([size], low, 1, 'float32', seed) as tf.Tensor1D;
  return {
    param: random(1, -1),
    first: random(2, -1),
    second: random(3, 0),
    average: averages ? random(4, -1) : null,
  };
}

/** The definition in double precision. */
function naive(vectors: AdamWVectors, gradients: readonly tf.Tensor[]) {
  const [decay, epsilon, rate, share] = NUMBERS as [number, number, number, number];
  const gradient = gradients.flatMap((tensor) => [...valuesOf(tensor)]);
  const [param, first, second] = [vectors.param, vectors.first, vectors.second].map(
    valuesOf,
  ) as Float32Array[];
  const m = gradient.map((g, i) => BETAS[0] * first![i]! + (1 - BETAS[0]) * SCALE * g);
  const v = gradient.map((g, i) => BETAS[1] * second![i]! + (1 - BETAS[1]) * (SCALE * g) ** 2);
  const x = m.map((value, i) => decay * param![i]! - (rate * value) / (Math.sqrt(v[i]!) + epsilon));
  const average = vectors.average && [...valuesOf(vectors.average)].map((a, i) => a + share * (x[i]! - a));
  return { x, m, v, average };
}

describe.each(ROUTES)('adamW on $engine, $path', (route) => {
  beforeAll(() => take(route));

  it.each(CASES)('equals the definition: $name', ({ shapes }) => {
    for (const averages of [true, false]) {
      tf.tidy(() => {
        const gradients = shapes.map((shape, i) => tf.randomNormal(shape, 0, 1, 'float32', i + 5));
        const vectors = vectorsOf(
          gradients.reduce((sum, { size }) => sum + size, 0),
          averages,
        );
        const numbers = tf.tensor1d(NUMBERS);
        const { next, values } = adamW(vectors, gradients, numbers, tf.scalar(SCALE), BETAS, {
          path: route.path,
        });
        const wanted = naive(vectors, gradients);
        const close = (got: tf.Tensor, expected: number[]) =>
          expect(relativeError(valuesOf(got), expected)).toBeLessThan(1e-6);
        close(next.param, wanted.x);
        close(next.first, wanted.m);
        close(next.second, wanted.v);
        if (wanted.average) close(next.average!, wanted.average);
        else expect(next.average).toBeNull();
        expect(values.map(({ shape }) => shape)).toEqual(shapes);
        const joined = values.flatMap((value) => [...valuesOf(value)]);
        expect(joined).toEqual([...valuesOf(next.param)]);
      });
    }
  });

  it('shows NaN in its value only', () => {
    tf.tidy(() => {
      const vectors = vectorsOf(40, false);
      const gradient = tf.tensor1d(Float32Array.from({ length: 40 }, (_, i) => (i === 17 ? Number.NaN : 1)));
      const options = { path: route.path };
      const { next } = adamW(vectors, [gradient], tf.tensor1d(NUMBERS), tf.scalar(1), BETAS, options);
      expect([...valuesOf(next.param)].flatMap((x, i) => (Number.isNaN(x) ? [i] : []))).toEqual([17]);
      expect(Number.isNaN(valuesOf(squaredNorm([gradient], options))[0]!)).toBe(true);
    });
  });

  it('leaves nothing behind', () => {
    const gradients = [tf.ones([3, 2]), tf.ones([4])];
    const vectors = vectorsOf(10, false);
    const [numbers, scale] = [tf.tensor1d(NUMBERS), tf.scalar(1)];
    const before = tf.memory().numTensors;
    const { next, values } = adamW(vectors, gradients, numbers, scale, BETAS, { path: route.path });
    tf.dispose([next.param, next.first, next.second, values]);
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([gradients, Object.values(vectors), numbers, scale] as unknown as tf.TensorContainer);
  });

  it.each([[[[1]]], [[[3, 5], [], [71]]], [[[400, 300], [16385]]]])('sums the squares of %j', (shapes) => {
    tf.tidy(() => {
      const tensors = shapes.map((shape, i) => tf.randomNormal(shape, 0, 1, 'float32', i + 1));
      const wanted = tensors.flatMap((x) => [...valuesOf(x)]).reduce((sum, value) => sum + value * value, 0);
      const got = valuesOf(squaredNorm(tensors, { path: route.path }))[0]!;
      expect(Math.abs(got - wanted)).toBeLessThan(2e-6 * wanted);
    });
  });

  it.each([
    ['no gradients', 4, [], 4, /for gradients but received none/],
    ['vectors of another length', 5, [[2, 2]], 4, /for param.*\[5\]/],
    ['other numbers', 4, [[2, 2]], 3, /for numbers.*\[3\]/],
  ])('refuses %s', (_, size, shapes, numbers, message) => {
    const call = () =>
      adamW(
        vectorsOf(size as number, true),
        (shapes as number[][]).map((shape) => tf.zeros(shape)),
        tf.zeros([numbers as number]),
        tf.scalar(1),
        BETAS,
        { path: route.path },
      );
    expect(() => tf.tidy(call as () => never)).toThrow(message);
  });
});

describe('adamW in a compiled function', () => {
  beforeAll(() => take({ engine: 'tensorflow', path: 'native' }));

  it('gives the same bits', () => {
    const step = (vectors: AdamWVectors, gradients: tf.Tensor[], numbers: tf.Tensor1D) => {
      const scale = tf.sqrt(squaredNorm(gradients)) as tf.Scalar;
      const { next, values } = adamW(vectors, gradients, numbers, scale, BETAS);
      return [next.param, next.first, next.second, next.average!, ...values];
    };
    const compiled = compile(step);
    tf.tidy(() => {
      const args: Parameters<typeof step> = [
        vectorsOf(71, true),
        [tf.randomNormal([8, 8]), tf.randomNormal([7])],
        tf.tensor1d(NUMBERS),
      ];
      const got = compiled(...args).map((x) => [...valuesOf(x)]);
      expect(compiled.compiled).toBe(true);
      expect(got).toEqual(step(...args).map((x) => [...valuesOf(x)]));
    });
    compiled.dispose();
  });
});
