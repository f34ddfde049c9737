// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../../src/engine/index.js';
import {
  RandomSeeds,
  RandomStream,
  seedTensor,
  statelessRandomNormal,
  statelessRandomUniform,
} from '../../src/ops/index.js';
import { Random } from '../../src/random.js';

const seed = (a: number, b = 5) => tf.tensor1d([a, b], 'int32');
const list = (tensor: tf.Tensor) => Array.from(tensor.dataSync());

describe.each(['tensorflow', 'cpu'] as const)('random numbers of a seed on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  it('are even in [0, 1), or normal', () => {
    const uniform = list(statelessRandomUniform([100, 100], seed(1)));
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
    expect(mean(uniform)).toBeCloseTo(0.5, 1);
    expect(mean(uniform.map((x) => (x - 0.5) ** 2))).toBeCloseTo(1 / 12, 2);
    const normal = list(statelessRandomNormal([10000], seed(1)));
    expect(mean(normal)).toBeCloseTo(0, 1);
    expect(mean(normal.map((x) => x * x))).toBeCloseTo(1, 1);
    expect(mean(normal.map((x) => x ** 4))).toBeGreaterThan(2.5);
  });

  it('are the same for the same seed and others for another', () => {
    expect(list(statelessRandomUniform([4], seed(1)))).toEqual(list(statelessRandomUniform([4], seed(1))));
    expect(list(statelessRandomUniform([4], seed(1)))).not.toEqual(
      list(statelessRandomUniform([4], seed(2))),
    );
    expect(list(statelessRandomUniform([4], seed(1)))).not.toEqual(
      list(statelessRandomUniform([4], seed(1, 6))),
    );
  });

  it('come from a stream one after the other, none twice, and nothing is left', () => {
    const start = seed(3);
    const before = tf.memory().numTensors;
    const draw = () => {
      const stream = new RandomStream(start);
      const drawn = [stream.uniform([3]), stream.uniform([3]), stream.normal([3])];
      const values = drawn.map(list);
      tf.dispose(drawn);
      return values;
    };
    const [first, second, third] = draw();
    expect(first).not.toEqual(second);
    expect(second).not.toEqual(third);
    expect(draw()).toEqual([first, second, third]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuse seeds of another form', () => {
    expect(() => statelessRandomUniform([2], tf.tensor1d([1, 2]))).toThrow(/type int32 for seed/);
    expect(() => new RandomStream(tf.tensor1d([1], 'int32'))).toThrow(/\[2\] = \[2\] for seed/);
  });
});

describe('random numbers in compiled functions', () => {
  beforeAll(async () => {
    await ready({ engine: 'tensorflow' });
  });

  it('are those outside, and new ones for a new seed', () => {
    const fn = (s: tf.Tensor1D) => {
      const stream = new RandomStream(s);
      return [stream.uniform([2, 3]), stream.normal([2])];
    };
    const compiled = compile(fn);
    for (const s of [seed(1), seed(2)]) {
      expect(compiled(s).map(list)).toEqual(fn(s).map(list));
      expect(compiled.compiled).toBe(true);
    }
    expect(compiled.traces).toBe(1);
    compiled.dispose();
  });
});

describe('RandomSeeds', () => {
  it('gives a new seed each time, and goes on from its state', () => {
    const seeds = new RandomSeeds(7);
    const drawn = Array.from({ length: 5 }, () => list(seeds.next()).join());
    expect(new Set(drawn).size).toBe(5);
    const resumed = RandomSeeds.fromState([7, 3]);
    expect([resumed.next(), resumed.next()].map((s) => list(s).join())).toEqual(drawn.slice(3));
    expect(resumed.state).toEqual(seeds.state);
    expect(list(seedTensor(new Random(1)))).toEqual(list(seedTensor(new Random(1))));
  });
});
