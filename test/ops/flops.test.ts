// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { attention, countFlops, msDeformAttn } from '../../src/ops/index.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

const zeros = (...shape: number[]) => tf.zeros(shape);
const count = (fn: (...inputs: tf.Tensor[]) => unknown, ...inputs: tf.Tensor[]) =>
  tf.tidy(() => countFlops(fn, inputs).total);

describe('countFlops', () => {
  it.each<[string, number, (...inputs: tf.Tensor[]) => unknown, number[][]]>([
    [
      'a product',
      2 * 3 * 4 * 5,
      (a, b) => tf.matMul(a!, b!),
      [
        [3, 4],
        [4, 5],
      ],
    ],
    [
      'a product of turned matrices',
      2 * 3 * 4 * 5,
      (a, b) => tf.matMul(a!, b!, true, true),
      [
        [4, 3],
        [5, 4],
      ],
    ],
    [
      'many products',
      2 * 7 * 3 * 4 * 5,
      (a, b) => tf.matMul(a!, b!, false, true),
      [
        [7, 3, 4],
        [7, 5, 4],
      ],
    ],
    [
      'a convolution',
      2 * 4 * 4 * 6 * 3 * 3 * 5,
      (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, 'same'),
      [
        [1, 8, 8, 5],
        [3, 3, 5, 6],
      ],
    ],
    [
      'a convolution of each channel',
      2 * 8 * 8 * 5 * 3 * 3,
      (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'),
      [
        [1, 8, 8, 5],
        [3, 3, 5, 1],
      ],
    ],
    [
      'a turned convolution',
      2 * 4 * 4 * 5 * 2 * 2 * 6,
      (x, w) => tf.conv2dTranspose(x as tf.Tensor4D, w as tf.Tensor4D, [1, 8, 8, 6], 2, 'same'),
      [
        [1, 4, 4, 5],
        [2, 2, 6, 5],
      ],
    ],
    [
      'deformable attention',
      2 * 4 * 2 * 5 * 3 * 1 * 2 * 8,
      (v, l, w) => msDeformAttn(v as tf.Tensor4D, [[3, 4]], l!, w as tf.Tensor5D),
      [
        [2, 12, 3, 8],
        [2, 5, 3, 1, 2, 2],
        [2, 5, 3, 1, 2],
      ],
    ],
    [
      'attention',
      2 * 2 * 2 * 5 * 7 * 6,
      (q, kv) => attention('q,kv', [q!, kv!], 3),
      [
        [2, 5, 6],
        [2, 7, 12],
      ],
    ],
    ['nothing that counts', 0, (x) => tf.softmax(tf.add(x!, 1)), [[4, 4]]],
  ])('counts %s', (_, wanted, fn, shapes) => {
    expect(count(fn, ...shapes.map((shape) => zeros(...shape)))).toBe(wanted);
  });

  it('counts gradients', () => {
    const step = (x: tf.Tensor, w: tf.Tensor) => tf.grads((a, b) => tf.sum(tf.matMul(a!, b!)))([x, w]);
    expect(count(step as never, zeros(3, 4), zeros(4, 5))).toBe(3 * 2 * 3 * 4 * 5);
  });

  it('runs nothing, and keeps nothing', () => {
    const x = zeros(2, 2);
    const before = tf.memory().numTensors;
    const { byOp } = countFlops((a: tf.Tensor) => tf.matMul(a, a), [x]);
    expect([...byOp]).toEqual([['MatMul', 16]]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
