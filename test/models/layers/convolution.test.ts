// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { convolution, foldedConvolution, maxPoolPositive } from '../../../src/models/layers/convolution.js';

const ENGINES: EngineId[] = ['cpu', 'tensorflow'];
const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0.1, 1, 'float32', seed);

type Function = (...x: tf.Tensor[]) => tf.Tensor;

/** Largest difference of values and gradients of two functions of the same inputs, relative to what `plain` gives. */
function apart(inputs: tf.Tensor[], f: Function, plain: Function): number {
  const [got, wanted] = [f, plain].map((function_) => {
    const value = function_(...inputs);
    const upstream = tf.randomNormal(value.shape, 0, 1, 'float32', 7);
    const grads = tf.grads((...x: tf.Tensor[]) => tf.sum(tf.mul(function_(...x), upstream)))(inputs);
    return [value, ...grads];
  }) as [tf.Tensor[], tf.Tensor[]];
  return Math.max(
    ...got.map((tensor, i) => {
      expect(tensor.shape).toEqual(wanted[i]!.shape);
      const scale = Math.max(1, tf.max(tf.abs(wanted[i]!)).dataSync()[0]!);
      return tf.max(tf.abs(tf.sub(tensor, wanted[i]!))).dataSync()[0]! / scale;
    }),
  );
}

describe.each(ENGINES)('convolution on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  const cases = [
    { size: [9, 7], kernel: 3, stride: 1, padding: 1 },
    { size: [9, 8], kernel: 3, stride: 2, padding: 1 },
    { size: [11, 10], kernel: 7, stride: 2, padding: 3 },
    { size: [6, 5], kernel: 1, stride: 2, padding: 0 },
    { size: [6, 6], kernel: 1, stride: 1, padding: 0 },
    { size: [16, 16], kernel: 1, stride: 2, padding: 0 },
  ] as const;

  it.each(cases)('equals pad and tf.conv2d, $kernel x $kernel, stride $stride', (entry) => {
    const { size, kernel, stride, padding: p } = entry;
    const inputs = [normal([2, ...size, 3], 1), normal([kernel, kernel, 3, 4], 2), normal([4], 3)];
    const plain = (relu: boolean) => (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => {
      const padded = tf.pad(x, [
        [0, 0],
        [p, p],
        [p, p],
        [0, 0],
      ]) as tf.Tensor4D;
      const y = tf.add(tf.conv2d(padded, w as tf.Tensor4D, stride, 'valid'), b);
      return relu ? tf.relu(y) : y;
    };
    for (const relu of [false, true]) {
      const own: Function = (x, w, b) =>
        convolution(x as tf.Tensor4D, w as tf.Tensor4D, b!, { stride, padding: p, relu });
      expect(apart(inputs, own, plain(relu) as Function)).toBeLessThan(2e-5);
    }
    const without: Function = (x, w) =>
      convolution(x as tf.Tensor4D, w as tf.Tensor4D, null, { stride, padding: p });
    const zero: Function = (x, w) => plain(false)(x!, w!, tf.zeros([4]));
    expect(apart(inputs.slice(0, 2), without, zero)).toBeLessThan(2e-5);
  });

  it('scales and shifts with folded weights, and gives the gradient of those behind them', () => {
    const [x, weight] = [normal([2, 6, 5, 3], 1), normal([3, 3, 3, 4], 2)];
    const [scale, shift] = [normal([4], 3) as tf.Tensor1D, normal([4], 4) as tf.Tensor1D];
    const options = { stride: 1, padding: 1, relu: true };
    const own: Function = (a, w) =>
      foldedConvolution(
        a as tf.Tensor4D,
        w as tf.Tensor4D,
        { weight: tf.mul(weight, scale) as tf.Tensor4D, scale, shift },
        options,
      );
    const plain: Function = (a, w) =>
      tf.relu(tf.add(tf.mul(tf.conv2d(a as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'), scale), shift));
    expect(apart([x, weight], own, plain)).toBeLessThan(2e-5);
  });

  it('pools as with a border of minus infinity', () => {
    const x = tf.relu(normal([1, 5, 6, 2], 1)) as tf.Tensor4D;
    const pooled = maxPoolPositive(x, 3, 2, 1);
    const bordered = tf.pad(
      x,
      [
        [0, 0],
        [1, 1],
        [1, 1],
        [0, 0],
      ],
      -1e30,
    ) as tf.Tensor4D;
    expect([...pooled.dataSync()]).toEqual([...tf.maxPool(bordered, 3, 2, 'valid').dataSync()]);
    expect(pooled.shape).toEqual([1, 3, 3, 2]);
  });
});
