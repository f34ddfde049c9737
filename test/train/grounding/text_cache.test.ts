// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { BertEncoder } from '../../../src/models/text/index.js';
import { TextFeatureCache } from '../../../src/train/grounding/text_cache.js';

const HIDDEN = 8;
let encoder: BertEncoder;
beforeAll(async () => {
  await ready();
  encoder = new BertEncoder({
    vocab_size: 30,
    hidden_size: HIDDEN,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 8,
    max_position_embeddings: 16,
    initializer_range: 0.5,
  });
});
afterAll(() => encoder.dispose());

/** Texts by their tokens, padded. */
function batch(rows: readonly (readonly number[])[], tokens: number) {
  const ids = rows.map((row) => [...row, ...Array(tokens - row.length).fill(0)]);
  const mask = rows.map((row) => Array.from({ length: tokens }, (_, i) => (i < row.length ? 1 : 0)));
  return { ids: tf.tensor2d(ids, undefined, 'int32'), mask: tf.tensor2d(mask, [rows.length, tokens]) };
}

describe('TextFeatureCache', () => {
  it('gives what the encoder gives at real tokens, 0 at padding, whatever the length of the batch', () => {
    const cache = new TextFeatureCache(encoder);
    const rows = [[5, 6, 7], [8], [], [5, 6, 7, 9, 10]];
    for (const tokens of [6, 9]) {
      const { ids, mask } = batch(rows, tokens);
      const features = cache.features(ids, mask);
      expect(features.shape).toEqual([rows.length, tokens, HIDDEN]);
      const wanted = tf.mul(encoder.encode(ids, mask), tf.expandDims(mask, 2));
      const [got, should] = [features.dataSync(), wanted.dataSync()];
      rows.forEach((row, i) => {
        for (let k = 0; k < tokens * HIDDEN; k++) {
          const at = i * tokens * HIDDEN + k;
          expect(got[at]).toBeCloseTo(k < row.length * HIDDEN ? should[at]! : 0, 5);
        }
      });
    }
    expect(cache.encoded).toBe(3);
  });

  it('runs the encoder once for each text', () => {
    const cache = new TextFeatureCache(encoder);
    const { ids, mask } = batch([[1, 2], [1, 2], [3]], 4);
    cache.features(ids, mask);
    cache.features(ids, mask);
    expect(cache.encoded).toBe(2);
  });

  it('forgets what was not asked for longest', () => {
    const cache = new TextFeatureCache(encoder, 2 * HIDDEN * 4); // two texts of one token
    const ask = (id: number) => {
      const { ids, mask } = batch([[id]], 2);
      cache.features(ids, mask);
      return cache.encoded;
    };
    expect([1, 2, 1, 3, 1, 2].map(ask)).toEqual([1, 2, 2, 3, 3, 4]);
  });

  it('leaves no tensors behind', () => {
    const cache = new TextFeatureCache(encoder);
    const { ids, mask } = batch([[4, 5]], 4);
    const before = tf.memory().numTensors;
    cache.features(ids, mask).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
