// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { keepMask, normalisePixels, selectByClass } from '../../../src/models/exportable/index.js';
import { nmsXyxy } from '../../../src/models/nms.js';
import { IMAGENET } from '../../../src/models/preprocess.js';
import { Random } from '../../../src/random.js';

beforeAll(() => ready());

describe('keepMask', () => {
  it.each([1, 2, 7, 40])('keeps of %s boxes what nmsXyxy keeps, batch item by batch item', (count) => {
    const random = new Random(count);
    for (let round = 0; round < 10; round++) {
      const boxes = Array.from({ length: 3 }, () =>
        Array.from({ length: count }, (): [number, number, number, number] => {
          // Whole numbers, so that overlaps at the limit occur and are the same in both precisions.
          const [x, y] = [random.integer(12), random.integer(12)];
          return [x, y, x + random.integer(9), y + random.integer(9)];
        }),
      );
      const scores = Array.from({ length: count }, (_, i) => 1 - i / count);
      const expected = boxes.map((own) => {
        const kept = new Set(nmsXyxy(own, scores, 0.5));
        return own.map((_, i) => (kept.has(i) ? 1 : 0));
      });
      const mask = tf.tidy(() => keepMask(tf.tensor3d(boxes), 0.5).arraySync());
      expect(mask).toEqual(expected);
    }
  });
});

describe('normalisePixels', () => {
  it('gives for every byte what the library does, and 0 for padding', () => {
    const bytes = Float32Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
    const mask = Float32Array.from({ length: 256 }, (_, i) => (i < 200 ? 1 : 0));
    const values = tf.tidy(() =>
      normalisePixels(
        tf.tensor4d(bytes, [1, 1, 256, 3]),
        tf.tensor3d(mask, [1, 1, 256]),
        IMAGENET,
      ).dataSync(),
    );
    for (let i = 0; i < 256 * 3; i++) {
      const [v, c] = [Math.floor(i / 3), i % 3];
      const expected = v < 200 ? (v / 255 - IMAGENET.mean[c]!) / IMAGENET.std[c]! : 0;
      expect(Math.abs(values[i]! - expected)).toBeLessThan(1e-6);
    }
  });
});

describe('selectByClass', () => {
  it('takes the best pairs of query and class, boxes in pixels within the picture', () => {
    const logits = tf.tensor3d([
      [
        [-2, 3],
        [1, -1],
      ],
    ]);
    const boxes = tf.tensor3d([
      [
        [0.5, 0.5, 0.5, 0.5],
        [0.1, 0.9, 0.4, 0.4],
      ],
    ]);
    const found = selectByClass({ pred_logits: logits, pred_boxes: boxes }, tf.tensor2d([[100, 40]]), null, {
      threshold: 0.5,
      maxDetections: 3,
    });
    expect(found.labels.arraySync()).toEqual([[1, 0, 1]]);
    expect(found.count.arraySync()).toEqual([2]);
    const corners = found.boxes.arraySync()[0]!;
    expect(corners[0]).toEqual([25, 10, 75, 30]);
    corners[1]!.forEach((side, i) => {
      expect(side).toBeCloseTo([0, 28, 30, 40][i]!, 4);
    });
    expect(corners[2]).toEqual(corners[1]);
    expect(found.scores.arraySync()[0]![0]).toBeCloseTo(1 / (1 + Math.exp(-3)), 6);
  });
});
