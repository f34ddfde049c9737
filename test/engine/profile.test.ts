// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { inScope, profileFunction, ready, sumProfile } from '../../src/engine/index.js';

const X = [
  [1, 2],
  [3, 4],
];

describe('profileFunction', () => {
  beforeAll(() => ready({ engine: 'tensorflow' }));

  const layered = (x: tf.Tensor2D, w: tf.Tensor2D) => {
    const y = inScope('first.layer', () => tf.matMul(x, w));
    return inScope('second', () => tf.sum(tf.square(y)) as tf.Scalar);
  };

  it('names ops, scopes and shapes of the nodes that run', () => {
    const profile = profileFunction(layered, [tf.tensor2d(X), tf.tensor2d(X)], { runs: 2 });
    expect(profile.wall).toBeGreaterThan(0);
    const product = profile.nodes.find(({ op }) => op.includes('MatMul'))!;
    expect(product).toMatchObject({ scope: 'first.layer', calls: 1, shape: [2, 2] });
    expect(product.name).toMatch(/^first\.layer\/MatMul_\d+$/);
    expect(product.milliseconds).toBeGreaterThanOrEqual(0);
    expect(profile.nodes.filter(({ scope }) => scope === 'second').map(({ op }) => op)).toEqual(
      expect.arrayContaining(['Sum']),
    );
    const times = profile.nodes.map(({ milliseconds }) => milliseconds);
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  it('gives gradients the scope of what they are gradients of', () => {
    const w = tf.tensor2d(X).variable();
    const { nodes } = profileFunction(
      (x: tf.Tensor2D) => tf.grad((v) => layered(x, v as tf.Tensor2D))(w),
      [tf.tensor2d(X)],
    );
    const products = nodes.filter(({ op }) => op.includes('MatMul')).map(({ scope }) => scope);
    expect(products.sort()).toEqual(['backward/first.layer', 'first.layer']);
    expect(nodes.some(({ scope }) => scope === 'backward/second')).toBe(true);
    w.dispose();
  });

  it('with frozen variables leaves out what depends on them alone', () => {
    const w = tf.tensor2d(X).variable();
    const fn = (x: tf.Tensor2D) => tf.matMul(x, tf.exp(w));
    const ops = (frozen: boolean) =>
      profileFunction(fn, [tf.tensor2d(X)], { frozen, runs: 1 }).nodes.map(({ op }) => op);
    expect(ops(false)).toContain('Exp');
    expect(ops(true)).not.toContain('Exp');
    w.dispose();
  });

  it('leaves names alone outside of profiles, and no tensors behind', () => {
    const before = tf.memory().numTensors;
    const args: [tf.Tensor2D, tf.Tensor2D] = [tf.tensor2d(X), tf.tensor2d(X)];
    profileFunction(layered, args, { runs: 1 });
    const y = tf.tidy(() => layered(...args));
    expect(y.dataSync()[0]).toBe(7 ** 2 + 10 ** 2 + 15 ** 2 + 22 ** 2);
    tf.dispose([y, ...args]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses other engines', async () => {
    const before = tf.getBackend();
    await tf.setBackend('cpu');
    const x = tf.tensor2d(X);
    expect(() => profileFunction(layered, [x, x])).toThrow(/engine 'tensorflow', and this is 'cpu'/);
    x.dispose();
    await tf.setBackend(before);
  });
});

describe('sumProfile', () => {
  it('adds up by key, the costliest first', () => {
    const node = (name: string, op: string, milliseconds: number) => ({
      name,
      op,
      scope: '',
      milliseconds,
      calls: 2,
      shape: null,
    });
    const nodes = [node('a', 'Add', 1), node('b', 'Mul', 6), node('c', 'Add', 3)];
    expect(sumProfile({ wall: 1, tracedNodes: 3, nodes }, ({ op }) => op)).toEqual([
      { name: 'Mul', calls: 2, milliseconds: 6, share: 0.6 },
      { name: 'Add', calls: 4, milliseconds: 4, share: 0.4 },
    ]);
  });
});
