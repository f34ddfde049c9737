// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, nativeBinding, ready } from '../../src/engine/index.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

const mebibytes = () => process.memoryUsage.rss() / 2 ** 20;

/** Runs `call` `count` times; tensors and memory must stand still after the first quarter. */
function staysFlat(count: number, call: (i: number) => void): void {
  const counts = () => [tf.memory().numTensors, nativeBinding().getNumOfTensors()];
  let settled: number[] = [];
  let memory = 0;
  for (let i = 0; i < count; i++) {
    call(i);
    if (i !== count >> 2) continue;
    settled = counts();
    memory = mebibytes();
  }
  expect(counts()).toEqual(settled);
  expect(mebibytes()).toBeLessThan(memory * 1.05 + 16);
}

describe('memory of compiled functions', () => {
  it('stands still over 5,000 steps with gradients, an optimizer and captured tensors', () => {
    const table = tf.ones([256, 64]);
    const w = tf.tidy(() => tf.variable(tf.randomNormal([64, 64], 0, 0.1, 'float32', 1)));
    const optimizer = tf.train.adam(1e-3);
    const step = compile((x: tf.Tensor2D) => {
      const loss = () =>
        tf.mean(tf.square(tf.tanh(tf.matMul(tf.add(x, table), w as tf.Tensor2D)))) as tf.Scalar;
      const { value, grads } = tf.variableGrads(loss, [w]);
      optimizer.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
      return { loss: value, grads };
    });
    staysFlat(5000, () => {
      tf.tidy(() => {
        const { loss } = step(tf.ones([256, 64]));
        expect(Number.isFinite(loss.dataSync()[0])).toBe(true);
      });
    });
    step.dispose();
    optimizer.dispose();
    tf.dispose([table, w]);
  });

  it('stands still over 3,000 traces that are made and freed, and 1,000 that fail', () => {
    const step = compile(
      (x: tf.Tensor, scale: number) => tf.grad((y) => tf.sum(tf.square(y)))(tf.mul(x, scale)),
      {
        maxTraces: 2,
      },
    );
    staysFlat(3000, (i) => tf.tidy(() => void step(tf.ones([64, 64]), i)));
    step.dispose();
    const failing = compile((x: tf.Tensor) => tf.mul(x, tf.exp(x).dataSync()[0]!));
    staysFlat(1000, () => {
      tf.tidy(() => {
        expect(() => failing(tf.ones([64, 64]))).toThrow(/is read while the function is traced/);
      });
    });
    expect(nativeBinding().getNumOfFunctions()).toBe(0);
  });
});
