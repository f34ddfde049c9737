// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, nativeBinding, ready } from '../../src/engine/index.js';
import { packageRoot } from '../../src/package.js';

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

/** Values of 128 MiB together. */
const MANY = 2 ** 25;

/** MiB that the first run of a compiled function adds to a process. @param step what is done 8 times over, with `tf` and `y` */
function addedBy(step: string): number {
  const code = `
    const tf = await import('@tensorflow/tfjs');
    const { compile, ready } = await import('./src/engine/index.ts');
    await ready({ engine: 'tensorflow' });
    const chain = compile((x) => {
      let y = x;
      for (let i = 0; i < 8; i++) y = ${step};
      return y;
    });
    chain(tf.fill([4], 0.5));
    const x = tf.fill([${MANY}], 0.5);
    const before = process.resourceUsage().maxRSS;
    chain(x);
    console.log((process.resourceUsage().maxRSS - before) / 1024);`;
  const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: packageRoot(),
    env: { ...process.env, NODE_OPTIONS: '' },
    encoding: 'utf8',
  });
  expect(stdout).toMatch(/^[\d.]+\n$/);
  return Number(stdout);
}

describe('memory of compiled functions', () => {
  it('hands buffers on: a chain of operations needs one for its result', () => {
    expect(addedBy('tf.tanh(y)')).toBeLessThan(1.5 * 128);
    // Where a value is needed twice there must be a second one: this is what the figure shows then.
    expect(addedBy('tf.mul(tf.sin(y), tf.cos(tf.sub(1, y)))')).toBeGreaterThan(1.5 * 128);
  });

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
