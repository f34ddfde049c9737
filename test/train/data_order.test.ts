// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { DataOrder, epochOrder, stepRandom } from '../../src/train/data_order.js';

describe('DataOrder', () => {
  it('shows every sample once in each pass, in another order each time', () => {
    const order = new DataOrder(7, 3);
    const seen = Array.from({ length: 7 }, (_, step) => order.batch(step, 2)).flat();
    const [first, second] = [seen.slice(0, 7), seen.slice(7)];
    expect([...first].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([...second].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(first).not.toEqual(second);
    expect(first).toEqual(epochOrder(3, 0, 7));
  });

  it('gives a batch without those before it', () => {
    const straight = new DataOrder(50, 1);
    for (let step = 0; step < 20; step++) straight.batch(step, 8);
    expect(new DataOrder(50, 1).batch(20, 8)).toEqual(straight.batch(20, 8));
    expect(new DataOrder(50, 2).batch(20, 8)).not.toEqual(straight.batch(20, 8));
  });

  it('needs samples', () => {
    expect(() => new DataOrder(0, 1)).toThrow('expected at least one sample');
  });
});

describe('stepRandom', () => {
  it('differs between neighbouring steps and seeds, and repeats', () => {
    const draw = (seed: number, step: number) => stepRandom(seed, step).uint32();
    const drawn = new Set(
      [0, 1, 2, 3].flatMap((seed) => Array.from({ length: 250 }, (_, step) => draw(seed, step))),
    );
    expect(drawn.size).toBe(1000);
    expect(draw(42, 7)).toBe(draw(42, 7));
  });
});
