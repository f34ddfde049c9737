// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { RelativePositions } from '../../src/models/backbones/relative_positions.js';
import { PlanCache, WindowPlan } from '../../src/ops/index.js';

const numbered = (n: number) => tf.range(1, n + 1).reshape([n, 1]) as tf.Tensor2D;

beforeAll(async () => {
  await ready();
});

describe('WindowPlan', () => {
  it('cuts, shifts and pads as the picture shows', () => {
    // 1 2 3    padded to 4 x 4 and rolled up and left by one:  5 6 . 4
    // 4 5 6                                                    . . . .
    //                                                          (wraps)
    const plan = new WindowPlan({ batch: 1, height: 2, width: 3, window: 2, shift: [1, 1], order: 'rows' });
    const windows = plan.toWindows(numbered(6)).reshape([-1, 4]);
    expect(windows.arraySync()).toEqual([
      [5, 6, 2, 3],
      [0, 4, 0, 1],
    ]);
  });

  it('puts a row of its own into padded places, which is summed for its gradient', () => {
    const plan = new WindowPlan({ batch: 1, height: 1, width: 3, window: 2, shift: [0, 0], order: 'rows' });
    const fill = tf.tensor1d([9]);
    const cut = (x: tf.Tensor, row: tf.Tensor) => plan.toWindows(x as tf.Tensor2D, row);
    expect([...cut(numbered(3), fill).dataSync()]).toEqual([1, 2, 9, 9, 3, 9, 9, 9]);
    const upstream = tf.range(1, 9).reshape([8, 1]);
    const [x, row] = tf.grads((a, b) => tf.mul(cut(a, b), upstream))([numbered(3), fill]);
    expect([[...x!.dataSync()], [...row!.dataSync()]]).toEqual([[1, 2, 5], [3 + 4 + 6 + 7 + 8]]);
  });

  it('joins columns first for merging', () => {
    const plan = new WindowPlan({
      batch: 1,
      height: 2,
      width: 2,
      window: 2,
      shift: [0, 0],
      order: 'columns',
    });
    expect([...plan.toWindows(numbered(4)).dataSync()]).toEqual([1, 3, 2, 4]);
  });

  it.each([
    [2, 7, 5, 4, 2],
    [1, 8, 8, 4, 2],
    [3, 3, 9, 5, 0],
    [2, 4, 4, 4, 0],
  ])(
    'is undone by its inverse, and each is the gradient of the other (%p)',
    (batch, height, width, window, shift) => {
      const plan = new WindowPlan({ batch, height, width, window, shift: [shift, shift], order: 'rows' });
      const x = numbered(batch * height * width);
      const windows = plan.toWindows(x);
      expect([...plan.fromWindows(windows).dataSync()]).toEqual([...x.dataSync()]);
      // <toWindows(x), y> = <x, toWindows'(y)> for the adjoint toWindows'.
      const y = tf.randomNormal(windows.shape, 0, 1, 'float32', 3) as tf.Tensor2D;
      const adjoint = tf.grad((v: tf.Tensor) => tf.sum(tf.mul(plan.toWindows(v as tf.Tensor2D), y)))(x);
      const [left, right] = [tf.mul(windows, y), tf.mul(x, adjoint)].map((v) => tf.sum(v).dataSync()[0]!);
      expect(right).toBeCloseTo(left!, 1);
      const back = tf.grad((v: tf.Tensor) => tf.sum(tf.mul(plan.fromWindows(v as tf.Tensor2D), x)))(y);
      expect([...back.dataSync()]).toEqual([...windows.dataSync()]);
    },
  );

  it('keeps apart what only the shift brought together', () => {
    const plan = new WindowPlan({ batch: 1, height: 4, width: 4, window: 4, shift: [2, 2], order: 'rows' });
    const mask = plan.mask!.reshape([16, 16]).arraySync() as number[][];
    expect([mask[0]![1], mask[0]![2], mask[0]![8], mask[15]![15]]).toEqual([0, -100, -100, 0]);
    expect(
      new WindowPlan({ batch: 1, height: 4, width: 4, window: 4, shift: [0, 0], order: 'rows' }).mask,
    ).toBeNull();
  });
});

describe('PlanCache', () => {
  it('makes a plan once, and frees the one not used for longest', () => {
    const cache = new PlanCache(2);
    const before = tf.memory().numTensors;
    const spec = { batch: 1, width: 4, window: 2, shift: [0, 0], order: 'rows' } as const;
    const use = (height: number) => {
      const plan = cache.windows({ ...spec, height });
      tf.tidy(() => void plan.toWindows(numbered(height * 4)));
      return plan;
    };
    const first = use(4);
    use(6);
    expect(use(4)).toBe(first);
    use(8);
    expect(use(4)).toBe(first);
    expect(tf.memory().numTensors).toBe(before + 2 * 3);
    cache.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('RelativePositions', () => {
  it('reads the middle of the table for smaller windows, and adds gradients of equal places', () => {
    const table = tf.range(0, 25).reshape([25, 1]);
    const bias = new RelativePositions(2, 3, 1).bias(table).reshape([4, 4]);
    expect(bias.arraySync()).toEqual([
      [12, 11, 7, 6],
      [13, 12, 8, 7],
      [17, 16, 12, 11],
      [18, 17, 13, 12],
    ]);
    const grad = tf.grad((t: tf.Tensor) => tf.sum(new RelativePositions(2, 3, 1).bias(t)))(table);
    expect([...grad.dataSync()].filter((n) => n > 0)).toEqual([1, 2, 1, 2, 4, 2, 1, 2, 1]);
  });
});
