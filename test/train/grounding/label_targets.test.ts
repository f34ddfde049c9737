// SPDX-License-Identifier: Apache-2.0
import { beforeAll, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { labelTargets } from '../../../src/train/grounding/label_targets.js';
import { tokenizer } from './samples.js';

beforeAll(async () => {
  await ready();
});

const object = (labels?: string[]) => ({
  box: [0, 0, 4, 4] as [number, number, number, number],
  category: 'thing',
  spans: [],
  ...(labels ? { labels } : {}),
});

it('says of every image token which words hold of its object, and leaves the others out', () => {
  const objects = [[object(['ship', 'red']), object()], [object(['ship', 'blue'])]];
  const assigned = [Int32Array.of(-1, 0, 1), Int32Array.of(0, -1, -1)];
  const targets = labelTargets(objects, assigned, tokenizer, 64)!;
  // Labels in order: blue, red, ship.
  expect(targets.truth.arraySync()).toEqual([
    [
      [0, 0, 0],
      [0, 1, 1],
      [0, 0, 0],
    ],
    [
      [1, 0, 1],
      [0, 0, 0],
      [0, 0, 0],
    ],
  ]);
  expect(targets.rowMask.arraySync()).toEqual([
    [0, 1, 0],
    [1, 0, 0],
  ]);
  expect(targets.texts.ids.shape[0]).toBe(3);
  expect(targets.texts.wordMask.sum().dataSync()[0]).toBeGreaterThanOrEqual(3);
  tf.dispose([targets.texts, targets.truth, targets.rowMask] as unknown as tf.TensorContainer);
});

it('is null where nothing is labelled', () => {
  expect(labelTargets([[object()]], [Int32Array.of(0)], tokenizer, 64)).toBeNull();
});
