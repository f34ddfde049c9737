// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { tokenQualities, withNearest } from '../../../src/train/grounding/query_targets.js';

beforeAll(async () => {
  await ready();
});

describe('withNearest', () => {
  it('gives unmatched queries the box of the object they stand on, and no other', () => {
    const objects = {
      boxes: tf.tensor3d([
        [
          [0.3, 0.3, 0.2, 0.2],
          [0.7, 0.7, 0.2, 0.2],
          [0.5, 0.5, 0.1, 0.1],
        ],
      ]),
      mask: tf.tensor2d([[1, 1, 0]]),
    };
    // Matched to the second; on the first; between both; on padding.
    const predicted = tf.tensor4d([
      [
        [
          [0.31, 0.3, 0.2, 0.2],
          [0.31, 0.3, 0.2, 0.2],
          [0.4, 0.3, 0.2, 0.2],
          [0.5, 0.5, 0.1, 0.1],
        ],
      ],
    ]);
    const spare = [0.5, 0.5, 0.1, 0.1];
    const matched = {
      boxes: tf.tensor4d([[[[0.7, 0.7, 0.2, 0.2], spare, spare, spare]]]),
      mask: tf.tensor3d([[[1, 0, 0, 0]]]),
    };
    const { boxes, mask } = withNearest(matched, predicted, objects);
    expect(mask.arraySync()).toEqual([[[1, 1, 0, 0]]]);
    const [first, second] = (boxes.arraySync() as number[][][][])[0]![0]!;
    [0.7, 0.7, 0.2, 0.2].forEach((x, i) => {
      expect(first![i]).toBeCloseTo(x, 6);
    });
    [0.3, 0.3, 0.2, 0.2].forEach((x, i) => {
      expect(second![i]).toBeCloseTo(x, 6);
    });
  });
});

describe('tokenQualities', () => {
  it('are the overlap of a row’s box with its target, at least a tenth, and 1 for rows without a box', () => {
    const qualities = tokenQualities(
      tf.tensor2d([
        [0.5, 0.5, 0.2, 0.2],
        [0.5, 0.5, 0.2, 0.4],
        [0.1, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1],
      ]),
      {
        tokens: tf.tensor2d([
          [1, 0],
          [0, 1],
          [1, 1],
          [1, 0],
        ]),
        boxes: tf.tensor2d([
          [0.5, 0.5, 0.2, 0.2],
          [0.5, 0.5, 0.2, 0.2],
          [0.9, 0.9, 0.1, 0.1],
          [0.9, 0.9, 0.1, 0.1],
        ]),
        boxMask: tf.tensor1d([1, 1, 1, 0]),
      },
    ).arraySync() as number[][];
    const expected = [
      [1, 0],
      [0, 0.5],
      [0.1, 0.1],
      [1, 0],
    ];
    expected.forEach((row, i) => {
      row.forEach((value, j) => {
        expect(qualities[i]![j]).toBeCloseTo(value, 5);
      });
    });
  });
});
