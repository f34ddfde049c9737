// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import {
  cxcywhToXyxy,
  elementwiseGiou,
  moveBoxes,
  pairwiseGiou,
  pairwiseIou,
  xyxyToCxcywh,
} from '../../src/models/boxes.js';

const values = (x: tf.Tensor): number[] => Array.from(x.dataSync());

describe.each(['cpu', 'auto'] as const)('boxes on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  describe('formats', () => {
    it('convert there and back', () => {
      const boxes = tf.tensor2d([[0.5, 0.25, 0.5, 0.25]]);
      const corners = cxcywhToXyxy(boxes);
      expect(values(corners)).toEqual([0.25, 0.125, 0.75, 0.375]);
      expect(values(xyxyToCxcywh(corners))).toEqual([0.5, 0.25, 0.5, 0.25]);
    });

    it('take no boxes at all', () => {
      expect(cxcywhToXyxy(tf.zeros([2, 0, 4])).shape).toEqual([2, 0, 4]);
    });
  });

  describe('overlap', () => {
    const a = () => tf.tensor2d([[0, 0, 2, 2]]);

    it.each([
      ['half covered', [1, 0, 3, 2], 1 / 3, 1 / 3],
      ['apart', [3, 0, 5, 2], 0, -0.2],
      ['inside', [0, 0, 1, 1], 0.25, 0.25],
      ['touching', [2, 0, 4, 2], 0, 0],
      ['a line inside', [1, 0, 1, 2], 0, 0],
      ['inverted', [2, 2, 0, 0], 0, 0],
    ])('%s', (_name, box, iou, giou) => {
      const b = tf.tensor2d([box]);
      expect(values(pairwiseIou(a(), b))[0]).toBeCloseTo(iou, 6);
      expect(values(elementwiseGiou(a(), b))[0]).toBeCloseTo(giou, 6);
    });

    it('gives every pair, also in batches', () => {
      const many = tf.tensor3d([
        [
          [0, 0, 2, 2],
          [1, 0, 3, 2],
        ],
      ]);
      expect(pairwiseIou(many, many.slice([0, 0], [1, 1])).shape).toEqual([1, 2, 1]);
      expect(values(pairwiseGiou(many, many))[1]).toBeCloseTo(1 / 3, 6);
    });

    it('is 0 between two equal points', () => {
      const point = tf.tensor2d([[1, 1, 1, 1]]);
      expect(values(pairwiseIou(point, point))).toEqual([0]);
      expect(values(elementwiseGiou(point, point))).toEqual([0]);
    });

    it('lets NaN through', () => {
      const broken = tf.tensor2d([[0, Number.NaN, 2, 2]]);
      expect(values(elementwiseGiou(a(), broken))[0]).toBeNaN();
      expect(values(pairwiseIou(broken, a()))[0]).toBeNaN();
    });
  });

  describe('gradient', () => {
    const loss = (x: tf.Tensor, y: tf.Tensor): tf.Scalar => tf.sum(elementwiseGiou(x, y)) as tf.Scalar;
    const gradients = (x: number[], y: number[]): [number[], number[]] => {
      const [dx, dy] = tf.grads(loss)([tf.tensor2d([x]), tf.tensor2d([y])]);
      return [values(dx!), values(dy!)];
    };

    it.each([
      ['overlapping', [0.1, 0.2, 0.6, 0.5], [0.3, 0.1, 0.9, 0.4]],
      ['apart', [0.1, 0.1, 0.3, 0.2], [0.6, 0.5, 0.9, 0.8]],
      ['inside', [0.1, 0.1, 0.9, 0.9], [0.3, 0.35, 0.5, 0.6]],
    ])('agrees with differences: %s', (_name, x, y) => {
      const [dx, dy] = gradients(x, y);
      const at = (p: number[], q: number[]): number => values(loss(tf.tensor2d([p]), tf.tensor2d([q])))[0]!;
      const h = 1e-3;
      for (let i = 0; i < 4; i++) {
        const moved = (v: number[], by: number): number[] => v.map((u, k) => (k === i ? u + by : u));
        expect(dx[i]).toBeCloseTo((at(moved(x, h), y) - at(moved(x, -h), y)) / (2 * h), 2);
        expect(dy[i]).toBeCloseTo((at(x, moved(y, h)) - at(x, moved(y, -h))) / (2 * h), 2);
      }
    });

    it('is shared evenly between equal boxes', () => {
      const [dx, dy] = gradients([0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.75, 0.75]);
      expect(dx).toEqual(dy);
      for (const d of dx) expect(Math.abs(d)).toBeLessThan(1e-6);
    });

    it('pulls touching boxes together', () => {
      const [dx] = gradients([0, 0, 1, 1], [1, 0, 2, 1]);
      expect(dx[2]).toBeGreaterThan(0);
    });

    it('is finite for boxes without area', () => {
      for (const box of [
        [0.5, 0.5, 0.5, 0.5],
        [0.5, 0.2, 0.5, 0.8],
      ]) {
        for (const other of [box, [0.1, 0.1, 0.9, 0.9]]) {
          const [dx, dy] = gradients(box, other);
          for (const d of [...dx, ...dy]) expect(Number.isFinite(d)).toBe(true);
        }
      }
    });

    it('sums over what was broadcast', () => {
      const a = tf.tensor2d([[0.1, 0.2, 0.6, 0.5]]);
      const b = tf.tensor2d([
        [0.3, 0.1, 0.9, 0.4],
        [0.2, 0.2, 0.4, 0.4],
      ]);
      const [da, db] = tf.grads((x, y) => tf.sum(pairwiseGiou(x!, y!)))([a, b]);
      expect(da!.shape).toEqual([1, 4]);
      expect(db!.shape).toEqual([2, 4]);
    });
  });
});

describe('moveBoxes', () => {
  it('shifts by the size of the box and grows by factors, the same anywhere in the picture', () => {
    const boxes = tf.tensor2d([
      [0.5, 0.5, 0.2, 0.4],
      [0.9, 0.1, 0.02, 0.04],
    ]);
    const by = tf.tensor2d([
      [0.5, -0.25, Math.log(2), Math.log(0.5)],
      [0.5, -0.25, Math.log(2), Math.log(0.5)],
    ]);
    const moved = moveBoxes(boxes, by).arraySync() as number[][];
    [0.6, 0.4, 0.4, 0.2].forEach((x, i) => {
      expect(moved[0]![i]).toBeCloseTo(x, 6);
    });
    [0.91, 0.09, 0.04, 0.02].forEach((x, i) => {
      expect(moved[1]![i]).toBeCloseTo(x, 6);
    });
    expect(moveBoxes(boxes, tf.zeros([2, 4])).arraySync()).toEqual(boxes.arraySync());
  });

  it('stays finite for any guess', () => {
    const moved = moveBoxes(tf.tensor2d([[0.5, 0.5, 0.2, 0.2]]), tf.tensor2d([[0, 0, 1000, -1000]]));
    expect(moved.dataSync().every(Number.isFinite)).toBe(true);
  });
});
