// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { Random } from '../../../src/random.js';
import { diceLoss, logSumExp, qualityFocal, sigmoidFocal } from '../../../src/train/losses/index.js';
import { uniform, values } from './helpers.js';

beforeAll(async () => {
  await ready();
});

/** The definition, in doubles. */
function focal(x: number, t: number, alpha: number, gamma: number): number {
  const p = 1 / (1 + Math.exp(-x));
  const pt = t * p + (1 - t) * (1 - p);
  const weight = alpha < 0 ? 1 : t * alpha + (1 - t) * (1 - alpha);
  const crossEntropy = Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x)));
  return weight * (1 - pt) ** gamma * crossEntropy;
}

describe('sigmoidFocal', () => {
  it.each([
    [0.25, 2],
    [-1, 2],
    [0.6, 1.5],
    [0.25, 0],
    [0.5, 1],
    [0.25, 0.5],
  ])('alpha %p, gamma %p: value and gradient', (alpha, gamma) => {
    const logits = [-8, -1.5, -0.1, 0, 0.3, 2, 7];
    for (const target of [0, 1, 0.3]) {
      const targets = tf.fill([logits.length], target);
      const op = (x: tf.Tensor) => sigmoidFocal(x, targets, { alpha, gamma });
      values(op(tf.tensor1d(logits))).forEach((value, i) => {
        expect(value).toBeCloseTo(focal(logits[i]!, target, alpha, gamma), 5);
      });
      const gradient = values(tf.grad((x) => tf.sum(op(x)))(tf.tensor1d(logits)));
      const h = 1e-5;
      gradient.forEach((value, i) => {
        const at = (x: number) => focal(x, target, alpha, gamma);
        expect(value).toBeCloseTo((at(logits[i]! + h) - at(logits[i]! - h)) / (2 * h), 4);
      });
    }
  });

  it.each([2, 0.5, 0])('stays finite for logits of any size (gamma %p)', (gamma) => {
    const logits = tf.tensor1d([-1e4, -200, 200, 1e4]);
    for (const target of [0, 1]) {
      const op = (x: tf.Tensor) => tf.sum(sigmoidFocal(x, tf.fill([4], target), { alpha: 0.25, gamma }));
      expect(values(op(logits)).every(Number.isFinite)).toBe(true);
      expect(values(tf.grad(op)(logits)).every(Number.isFinite)).toBe(true);
    }
  });

  it('shows NaN', () => {
    expect(values(sigmoidFocal(tf.tensor1d([Number.NaN]), tf.tensor1d([0])))[0]).toBeNaN();
  });
});

describe('qualityFocal', () => {
  let logits: tf.Tensor1D;
  beforeAll(() => {
    logits = tf.tensor1d([-8, -1.5, -0.1, 0, 0.3, 2, 7]);
  });

  it('is the focal loss where qualities are 0 or 1', () => {
    for (const target of [0, 1]) {
      const targets = tf.fill([7], target);
      const other = values(sigmoidFocal(logits, targets));
      values(qualityFocal(logits, targets)).forEach((value, i) => {
        expect(value).toBeCloseTo(other[i]!, 6);
      });
    }
  });

  it('is least, and flat, where the probability is the quality', () => {
    const at = tf.tensor1d([Math.log(0.7 / 0.3)]);
    const op = (x: tf.Tensor) => tf.sum(qualityFocal(x, tf.tensor1d([0.7])));
    expect(values(op(at))[0]).toBeCloseTo(0, 10);
    expect(values(tf.grad(op)(at))[0]).toBeCloseTo(0, 6);
    expect(values(op(tf.add(at, 1)))[0]).toBeGreaterThan(1e-3);
    expect(values(op(tf.sub(at, 1)))[0]).toBeGreaterThan(1e-3);
  });

  it('has the gradient of its definition', () => {
    const definition = (x: number, t: number) => {
      const p = 1 / (1 + Math.exp(-x));
      const crossEntropy = Math.log1p(Math.exp(x)) - x * t;
      return (t > 0 ? 0.25 : 0.75) * (t - p) ** 2 * crossEntropy;
    };
    for (const target of [0, 0.3, 0.8, 1]) {
      const op = (x: tf.Tensor) => tf.sum(qualityFocal(x, tf.fill([7], target)));
      const h = 1e-5;
      const points = values(logits);
      values(tf.grad(op)(logits)).forEach((value, i) => {
        const slope = (definition(points[i]! + h, target) - definition(points[i]! - h, target)) / (2 * h);
        expect(value).toBeCloseTo(slope, 4);
      });
    }
  });
});

describe('diceLoss', () => {
  it('is 0 for a certain and right prediction, and near 1 for a wrong one', () => {
    const targets = tf.tensor2d([[1, 1, 0, 0, 0, 0]]);
    const right = tf.tensor2d([[50, 50, -50, -50, -50, -50]]);
    expect(values(diceLoss(right, targets))[0]).toBeCloseTo(0, 6);
    expect(values(diceLoss(tf.neg(right), targets))[0]).toBeCloseTo(1 - 1 / 7, 6);
  });
});

describe('logSumExp', () => {
  it.each([0, 1, 2])('agrees with tfjs along axis %p, and so does its gradient', (axis) => {
    const x = uniform(new Random(3), [2, 3, 4], -5, 5);
    const ours = values(logSumExp(x, axis));
    values(tf.logSumExp(x, axis)).forEach((value, i) => {
      expect(ours[i]).toBeCloseTo(value, 5);
    });
    const weights = uniform(new Random(4), logSumExp(x, axis).shape);
    const gradient = values(tf.grad((y) => tf.sum(tf.mul(logSumExp(y, axis), weights)))(x));
    values(tf.grad((y) => tf.sum(tf.mul(tf.logSumExp(y, axis), weights)))(x)).forEach((value, i) => {
      expect(gradient[i]).toBeCloseTo(value, 5);
    });
  });

  it('is stable', () => {
    expect(values(logSumExp(tf.tensor1d([1e4, 1e4]), 0))[0]).toBeCloseTo(1e4 + Math.log(2), 2);
  });
});
