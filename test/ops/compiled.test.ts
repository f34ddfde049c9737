// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../../src/engine/index.js';
import { type OpPath, setDefaultOpPath } from '../../src/ops/index.js';
import { COMPARED_OPS } from '../cases/compared_ops.js';
import { DISCRETE, type Inputs, numbers, SMOOTH } from '../cases/compiled.js';
import { recordOps } from './recorded_ops.js';

// Everything the models are made of gives compiled what it gives operation by operation, values and gradients.

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

/** What the cases were made of. */
const recorded = new Set<string>();

function closeTo(actual: tf.Tensor, expected: tf.Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(actual.dtype).toBe(expected.dtype);
  const wanted = expected.dataSync();
  const size = Math.max(1, ...Array.from(wanted, Math.abs));
  actual.dataSync().forEach((value, i) => {
    expect(Math.abs(value - wanted[i]!) / size).toBeLessThan(2e-6);
  });
}

/** Compares `fn` with its compiled self on two sets of inputs, and sees that it was traced once. */
async function compare(shapes: number[][], fn: (...inputs: Inputs) => tf.Tensor[]): Promise<void> {
  for (const name of await recordOps(() => compareRuns(shapes, fn))) recorded.add(name);
}

function compareRuns(shapes: number[][], fn: (...inputs: Inputs) => tf.Tensor[]): void {
  const compiled = compile(fn);
  tf.tidy(() => {
    for (const seed of [1, 2]) {
      const inputs = shapes.map((shape, i) => numbers(shape, 10 * seed + i));
      const expected = fn(...inputs);
      const actual = compiled(...inputs);
      actual.forEach((tensor, i) => {
        closeTo(tensor, expected[i]!);
      });
    }
    expect(compiled.compiled).toBe(true);
    expect(compiled.traces).toBe(1);
  });
  compiled.dispose();
}

describe.each<OpPath>(['auto', 'plain'])('compiled equals eager, own ops %s:', (path) => {
  let before: OpPath;
  beforeAll(() => {
    before = setDefaultOpPath(path);
  });
  afterAll(() => {
    setDefaultOpPath(before);
  });

  it.each(SMOOTH)('%s', async (_, shapes, fn) => {
    await compare(shapes, (...inputs) => {
      const graded = tf.valueAndGrads((...xs: tf.Tensor[]) => {
        const y = fn(...xs);
        return tf.sum(tf.mul(y, numbers(y.shape, 7)));
      })(inputs);
      return [fn(...inputs), graded.value, ...graded.grads];
    });
  });

  // Assignment has no meaning in tensor operations: elsewhere it reads the costs.
  const discrete = DISCRETE.filter(([name]) => path === 'auto' || name !== 'linearAssignment');
  it.each(discrete)('%s', async (_, shapes, fn) => {
    await compare(shapes, (...inputs) => [fn(...inputs)]);
  });
});

describe('the list of compared operations', () => {
  it('holds what the cases above are made of', () => {
    expect([...recorded].sort()).toEqual([...COMPARED_OPS].sort());
  });
});
