// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, nativeBinding, ready } from '../../src/engine/index.js';

/** Tensors of TensorFlow.js, tensors of TensorFlow, functions. */
function counts(): number[] {
  const binding = nativeBinding();
  return [tf.memory().numTensors, binding.getNumOfTensors(), binding.getNumOfFunctions()];
}

/** Something that takes a while. */
function grind(x: tf.Tensor2D): tf.Tensor2D {
  let y = x;
  for (let i = 0; i < 40; i++) y = tf.tanh(tf.matMul(y, x));
  return y;
}

describe('compiled functions in the background', () => {
  let before: number[];

  beforeAll(() => ready({ engine: 'tensorflow' }));
  beforeEach(() => {
    before = counts();
  });

  /** Nothing of a test may be left: each frees what it holds. */
  afterEach(() => {
    expect(counts()).toEqual(before);
  });

  it('give what calls give, also where the arguments are freed at once', async () => {
    const compiled = compile(grind);
    const x = tf.randomUniform([128, 128], -0.1, 0.1) as tf.Tensor2D;
    const wanted = compiled(x);
    const pending = compiled.background(x);
    x.dispose();
    const got = await pending;
    expect(compiled.traces).toBe(1);
    expect(Array.from(got.dataSync())).toEqual(Array.from(wanted.dataSync()));
    tf.dispose([wanted, got]);
    compiled.dispose();
  });

  it('leave the thread free: other tensors are computed before they settle', async () => {
    const compiled = compile(grind);
    const x = tf.randomUniform([256, 256], -0.1, 0.1) as tf.Tensor2D;
    compiled(x).dispose();
    const done: string[] = [];
    const pending = compiled.background(x).then((y) => {
      done.push('function');
      return y;
    });
    const sum = tf.tidy(() => tf.sum(tf.ones([10])).dataSync()[0]);
    done.push(`eager ${sum}`);
    tf.dispose([await pending, x]);
    expect(done).toEqual(['eager 10', 'function']);
    compiled.dispose();
  });

  it('read variables at the call and assign them when they settle', async () => {
    const count = tf.tidy(() => tf.variable(tf.scalar(1)));
    const compiled = compile((by: tf.Scalar) => {
      count.assign(tf.add(count, by));
      return tf.mul(count, 10);
    });
    const two = tf.scalar(2);
    const pending = compiled.background(two);
    expect(count.dataSync()[0]).toBe(1);
    const result = await pending;
    expect([count.dataSync()[0], result.dataSync()[0]]).toEqual([3, 30]);
    tf.dispose([two, result]);
    count.dispose();
    compiled.dispose();
  });

  it('may be disposed of while they run', async () => {
    const compiled = compile(grind);
    const x = tf.eye(16);
    const pending = compiled.background(x);
    compiled.dispose();
    const y = await pending;
    const wanted = tf.tidy(() => grind(x));
    expect(y.dataSync()[0]).toBeCloseTo(wanted.dataSync()[0]!, 5);
    tf.dispose([x, y, wanted]);
  });

  it('reject with the error of a trace and of a run', async () => {
    const x = tf.tensor1d([1, 2]);
    const reads = compile((t: tf.Tensor1D) => tf.scalar(t.dataSync()[0]!));
    await expect(reads.background(x)).rejects.toThrow(/the value of a tensor is read/);
    const gathers = compile((t: tf.Tensor1D, at: tf.Tensor1D) => tf.gather(t, at));
    const at = tf.tensor1d([7], 'int32');
    await expect(gathers.background(x, at)).rejects.toThrow(/indices\[0\] = 7 is not in \[0, 2\)/);
    tf.dispose([x, at]);
    gathers.dispose();
  });

  it('call the function on other engines', async () => {
    const backend = tf.getBackend();
    await tf.setBackend('cpu');
    const compiled = compile((x: tf.Tensor) => tf.add(x, 1));
    const x = tf.scalar(1);
    const y = await compiled.background(x);
    expect([compiled.compiled, y.dataSync()[0]]).toEqual([false, 2]);
    tf.dispose([x, y]);
    await tf.setBackend(backend);
  });
});
