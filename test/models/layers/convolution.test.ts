// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { convolution, foldedConvolution, maxPoolPositive } from '../../../src/models/layers/convolution.js';
import { foldedDepthwise } from '../../../src/models/layers/depthwise.js';
import { dilated } from '../../../src/models/layers/dilated.js';
import { silu } from '../../../src/models/layers/silu.js';
import { SqueezeExcite } from '../../../src/models/layers/squeeze_excite.js';

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

  const sizes = [
    { size: [9, 8], kernel: 3, stride: 2 },
    { size: [7, 10], kernel: 5, stride: 2 },
    { size: [5, 4], kernel: 5, stride: 1 },
    { size: [1, 2], kernel: 3, stride: 2 },
  ] as const;

  it.each(sizes)('pads as TensorFlow does, $kernel x $kernel, stride $stride, map $size', (entry) => {
    const { size, kernel, stride } = entry;
    const [before, behind] = [0, 1].map((end) =>
      size.map((side) => {
        const zeros = Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side);
        return end === 0 ? Math.floor(zeros / 2) : Math.ceil(zeros / 2);
      }),
    ) as [number[], number[]];
    const padded = (x: tf.Tensor) =>
      tf.pad(x, [
        [0, 0],
        [before[0]!, behind[0]!],
        [before[1]!, behind[1]!],
        [0, 0],
      ]) as tf.Tensor4D;
    const options = { stride, padding: 'same' } as const;
    const maps = [normal([2, ...size, 3], 1), normal([kernel, kernel, 3, 4], 2)];
    const own: Function = (x, w) => convolution(x as tf.Tensor4D, w as tf.Tensor4D, null, options);
    const plain: Function = (x, w) => tf.conv2d(padded(x!), w as tf.Tensor4D, stride, 'valid');
    expect(apart(maps, own, plain)).toBeLessThan(2e-5);

    const weight = normal([kernel, kernel, 3, 1], 3) as tf.Tensor4D;
    const [scale, shift] = [normal([3], 4) as tf.Tensor1D, normal([3], 5) as tf.Tensor1D];
    const folded = { weight: tf.mul(weight, tf.reshape(scale, [3, 1])) as tf.Tensor4D, scale, shift };
    const apiece: Function = (x, w) =>
      foldedDepthwise(x as tf.Tensor4D, { weight: w as tf.Tensor4D, folded }, stride);
    const plainApiece: Function = (x, w) =>
      tf.add(tf.mul(tf.depthwiseConv2d(padded(x!), w as tf.Tensor4D, stride, 'valid'), scale), shift);
    expect(apart([maps[0]!, weight], apiece, plainApiece)).toBeLessThan(2e-5);
  });

  it.each([
    [5, 6],
    [1, 2],
    [4, 4],
  ])('looks at every second cell of a map of %i x %i', (height, width) => {
    const inputs = [normal([2, height, width, 3], 1), normal([3, 3, 3, 4], 2)];
    const own: Function = (x, w) =>
      dilated(x as tf.Tensor4D, 2, (cells) =>
        convolution(cells, w as tf.Tensor4D, null, { stride: 1, padding: 1 }),
      );
    // A kernel of 5 x 5 whose odd rows and columns are zeros.
    const spread = tf.tensor2d([0, 2, 4].map((at) => [0, 1, 2, 3, 4].map((i) => (i === at ? 1 : 0))));
    const plain: Function = (x, w) => {
      const rows = tf.matMul(spread, tf.reshape(w!, [3, -1]), true);
      const columns = tf.transpose(tf.reshape(rows, [5, 3, 3, 4]), [1, 0, 2, 3]);
      const both = tf.reshape(tf.matMul(spread, tf.reshape(columns, [3, -1]), true), [5, 5, 3, 4]);
      return tf.conv2d(x as tf.Tensor4D, tf.transpose(both, [1, 0, 2, 3]) as tf.Tensor4D, 1, 'same');
    };
    expect(apart(inputs, own, plain)).toBeLessThan(2e-5);
  });

  it('scales channels by what follows from their means', () => {
    const excite = new SqueezeExcite(3, 2);
    const [reduce, bias, expand, shift] = [...excite.namedParameters().values()].map(
      ({ variable }) => variable,
    );
    const own: Function = (x) => excite.forward(x as tf.Tensor4D);
    const plain: Function = (x) => {
      const hidden = tf.add(tf.matMul(tf.mean(x!, [1, 2]), tf.reshape(reduce!, [3, 2])), bias!);
      const gate = tf.add(tf.matMul(tf.mul(hidden, tf.sigmoid(hidden)), tf.reshape(expand!, [2, 3])), shift!);
      return tf.mul(x!, tf.reshape(tf.sigmoid(gate), [2, 1, 1, 3]));
    };
    expect(apart([normal([2, 5, 4, 3], 1)], own, plain)).toBeLessThan(2e-6);
    const swish: Function = (x) => tf.mul(x!, tf.sigmoid(x!));
    expect(apart([normal([50], 2)], (x) => silu(x!), swish)).toBeLessThan(2e-6);
    excite.dispose();
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
