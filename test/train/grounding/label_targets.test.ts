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
  const targets = labelTargets(objects, assigned, tokenizer, { maxTokens: 64 })!;
  expect(targets.truth.shape).toEqual([2, 3, 16]);
  // Labels in order: blue, red, ship.
  const none = Array(16).fill(0);
  const truth = (...labels: number[]) => [...labels, ...none].slice(0, 16);
  expect(targets.truth.arraySync()).toEqual([
    [none, truth(0, 1, 1), none],
    [truth(1, 0, 1), none, none],
  ]);
  expect(targets.mask.arraySync()).toEqual(truth(1, 1, 1));
  expect(targets.rowMask.arraySync()).toEqual([
    [0, 1, 0],
    [1, 0, 0],
  ]);
  expect(targets.texts.ids.shape[0]).toBe(16);
  expect(targets.texts.mask.sum(1).greater(0).arraySync()).toEqual(truth(1, 1, 1));
  expect(targets.texts.wordMask.sum().dataSync()[0]).toBeGreaterThanOrEqual(3);
  tf.dispose([targets.texts, targets.truth, targets.rowMask] as unknown as tf.TensorContainer);
});

it('is null where nothing is labelled', () => {
  expect(labelTargets([[object()]], [Int32Array.of(0)], tokenizer, { maxTokens: 64 })).toBeNull();
});
