// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';

// What this engine has instead of TensorFlow.js's own kernels and gradients must give what those give on engine cpu.

afterAll(async () => {
  await ready({ engine: 'tensorflow' });
});

/** Values that hit zeros, negatives and ties. */
const ramp = (...shape: number[]) => {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => (((i * 7) % 13) - 6) / 3),
    shape,
  );
};
const weights = (shape: number[]) => tf.add(tf.sin(ramp(...shape)), 0.5);

/** One function of one tensor; its gradient is compared, weighted so that no two places are alike. */
const FUNCTIONS: [string, number[], (x: tf.Tensor) => tf.Tensor][] = [
  ['sum over one axis', [2, 3, 4], (x) => tf.sum(x, 1)],
  ['sum over several, kept', [2, 3, 4], (x) => tf.sum(x, [0, 2], true)],
  ['sum over a negative axis', [2, 3], (x) => tf.sum(x, -1)],
  ['sum of all', [2, 3], (x) => tf.sum(x)],
  ['sum of a scalar', [], (x) => tf.sum(x)],
  ['sum over an axis of one', [2, 1, 3], (x) => tf.sum(x, 1)],
  ['mean over one axis', [2, 3, 4], (x) => tf.mean(x, 1)],
  ['mean of all', [2, 3], (x) => tf.mean(x)],
  ['mean over several, kept', [2, 3, 4], (x) => tf.mean(x, [1, 2], true)],
  ['relu', [4, 5], (x) => tf.relu(x)],
  ['relu6', [4, 5], (x) => tf.relu6(tf.mul(x, 5))],
  ['sigmoid', [4, 5], (x) => tf.sigmoid(x)],
  ['tanh', [4, 5], (x) => tf.tanh(x)],
  ['softplus', [4, 5], (x) => tf.softplus(tf.mul(x, 20))],
  ['tile', [2, 1, 3], (x) => tf.tile(x, [1, 4, 2])],
  ['tile of a vector', [3], (x) => tf.tile(x, [3])],
  ['tile by ones', [2, 3], (x) => tf.tile(x, [1, 1])],
  ['broadcastTo', [2, 1, 3], (x) => tf.broadcastTo(x, [2, 4, 3])],
  ['gather of rows', [4, 3], (x) => tf.gather(x, tf.tensor1d([2, 0, 2], 'int32'))],
  [
    'gather by a matrix',
    [4, 3],
    (x) =>
      tf.gather(
        x,
        tf.tensor2d(
          [
            [2, 0],
            [3, 3],
          ],
          undefined,
          'int32',
        ),
      ),
  ],
  ['gather along another axis', [2, 4, 3], (x) => tf.gather(x, tf.tensor1d([3, 1, 3], 'int32'), 1)],
  [
    'gather by batch',
    [2, 4, 3],
    (x) =>
      tf.gather(
        x,
        tf.tensor2d(
          [
            [3, 1],
            [0, 0],
          ],
          undefined,
          'int32',
        ),
        1,
        1,
      ),
  ],
  ['product of matrices', [3, 4], (x) => tf.matMul(x as tf.Tensor2D, ramp(2, 4) as tf.Tensor2D, false, true)],
  ['transposed product', [3, 4], (x) => tf.matMul(x as tf.Tensor2D, ramp(3, 2) as tf.Tensor2D, true, false)],
  ['product of batches', [2, 3, 4], (x) => tf.matMul(x as tf.Tensor3D, ramp(2, 4, 2) as tf.Tensor3D)],
]; // prettier-ignore

function valueAndGradient(shape: number[], fn: (x: tf.Tensor) => tf.Tensor): number[][] {
  return tf.tidy(() => {
    const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => {
      const y = fn(x);
      return tf.sum(tf.mul(y, weights(y.shape)));
    })(ramp(...shape));
    return [Array.from(value.dataSync()), Array.from(grad.dataSync())];
  });
}

describe('kernels and gradients in the place of the originals', () => {
  it.each(FUNCTIONS)('%s', async (_, shape, fn) => {
    await ready({ engine: 'cpu' });
    const original = valueAndGradient(shape, fn);
    await ready({ engine: 'tensorflow' });
    valueAndGradient(shape, fn).forEach((values, part) => {
      expect(values).toHaveLength(original[part]!.length);
      values.forEach((value, i) => {
        expect(value).toBeCloseTo(original[part]![i]!, 4);
      });
    });
  });

  it('refuse an index that is outside', async () => {
    await ready({ engine: 'tensorflow' });
    expect(() => tf.gather(ramp(3, 2), tf.tensor1d([0, 3], 'int32'))).toThrow(
      /the index value 3 is not in \[0, 2\]/,
    );
    expect(() => tf.gather(ramp(3, 2), tf.tensor1d([-1], 'int32'))).toThrow(
      /the index value -1 is not in \[0, 2\]/,
    );
  });

  it('let a single part, unstacked, be differentiated', async () => {
    await ready({ engine: 'tensorflow' });
    const gradient = tf.grad((x) => tf.mul(tf.unstack(x, 1)[0]!, ramp(2, 3)));
    expect(Array.from(gradient(tf.ones([2, 1, 3])).dataSync())).toEqual(Array.from(ramp(2, 3).dataSync()));
  });

  it('have second derivatives', async () => {
    await ready({ engine: 'tensorflow' });
    const second = tf.grad((x) => tf.sum(tf.square(tf.grad((y) => tf.mean(tf.square(tf.sum(y, 1))))(x))));
    // mean over 2 rows of (sum of 3)^2: first derivative = row sum, of every element.
    expect(Array.from(second(tf.ones([2, 3])).dataSync())).toEqual(Array(6).fill(18));
  });
});
