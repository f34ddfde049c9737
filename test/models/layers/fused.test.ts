// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { addRelu, linearRows, relu, withGradient } from '../../../src/models/layers/fused.js';

/** Values and gradients of two functions of the same inputs, as flat lists. */
function both(
  inputs: tf.Tensor[],
  f: (...x: tf.Tensor[]) => tf.Tensor,
  plain: (...x: tf.Tensor[]) => tf.Tensor,
): [number[], number[]] {
  return [f, plain].map((function_) => {
    const value = function_(...inputs);
    const upstream = tf.randomNormal(value.shape, 0, 1, 'float32', 7);
    const grads = tf.grads((...x: tf.Tensor[]) => tf.sum(tf.mul(function_(...x), upstream)))(inputs);
    return [value, ...grads].flatMap((tensor) => [...tensor.dataSync()]);
  }) as [number[], number[]];
}

function expectClose([got, wanted]: [number[], number[]], tolerance = 2e-5): void {
  expect(got).toHaveLength(wanted.length);
  got.forEach((value, i) => {
    expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(wanted[i]!)));
  });
}

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0.3, 1, 'float32', seed);

const ENGINES: EngineId[] = ['cpu', 'tensorflow'];

describe.each(ENGINES)('functions with gradients of their own equal plain ones on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  it('relu, with no gradient at 0', () => {
    const x = tf.tensor1d([-2, -0, 0, 1e-3, 5]);
    expect([
      ...tf
        .grad((v: tf.Tensor) => relu(v))(x)
        .dataSync(),
    ]).toEqual([0, 0, 0, 1, 1]);
    expect([...relu(x).dataSync()].map((v) => v + 0)).toEqual([0, 0, 0, Math.fround(1e-3), 5]);
  });

  it('linearRows, with and without bias', () => {
    const inputs = [normal([4, 3], 1), normal([2, 3], 2), normal([2], 3)];
    const plain = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => tf.add(tf.matMul(x, w, false, true), b);
    expectClose(both(inputs, (x, w, b) => linearRows(x as tf.Tensor2D, w!, b!), plain as never));
    const product = (x: tf.Tensor, w: tf.Tensor) => tf.matMul(x, w, false, true);
    expectClose(both(inputs.slice(0, 2), (x, w) => linearRows(x as tf.Tensor2D, w!, null), product as never));
  });

  it('linearRows with ReLU behind it', () => {
    const inputs = [normal([4, 3], 1), normal([2, 3], 2), normal([2], 3)];
    const plain = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) =>
      tf.relu(tf.add(tf.matMul(x, w, false, true), b));
    expectClose(both(inputs, (x, w, b) => linearRows(x as tf.Tensor2D, w!, b!, 'relu'), plain as never));
  });

  it('addRelu', () => {
    const inputs = [normal([4, 3], 1), normal([4, 3], 2)];
    expectClose(
      both(inputs, addRelu as never, ((a: tf.Tensor, b: tf.Tensor) => tf.relu(tf.add(a, b))) as never),
    );
  });

  it('withGradient, which takes no gradient that nobody asks for', () => {
    const taken: string[] = [];
    const gradient = (name: string) => (dy: tf.Tensor) => () => {
      taken.push(name);
      return tf.mul(dy, 2);
    };
    const twice = (a: tf.Tensor, b: tf.Tensor) =>
      withGradient(
        [a, b],
        () => tf.mul(tf.add(a, b), 2),
        (dy) => [gradient('a')(dy), gradient('b')(dy)],
      );
    const [da] = tf.grads((a: tf.Tensor) => tf.sum(twice(a, tf.scalar(5))))([tf.tensor1d([1, 2])]);
    expect([...da!.dataSync()]).toEqual([2, 2]);
    expect(taken).toEqual(['a']);
  });
});
