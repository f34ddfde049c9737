// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { loadTextEncoder, sentenceEmbeddings, Tokenizer } from '../../../src/models/text/index.js';
import { readSafetensorsSync } from '../../../src/models/weights/safetensors.js';
import { runCommand } from '../../bin/run_command.js';

// The published weights, against what transformers makes of 200 sentences (tools/fixtures/minilm.py).
const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'minilm');
const TOLERANCE = 1e-5;
const BATCH = 25;

const sentences = JSON.parse(readFileSync(join(FIXTURES, 'sentences.json'), 'utf8')) as string[];
const stored = readSafetensorsSync(join(FIXTURES, 'sentences.safetensors'));
let folder = '';
beforeAll(async () => {
  await ready();
  const { code, out } = await runCommand('setup', '--text', 'minilm');
  expect(code).toBe(0);
  folder = /^minilm in (.*)$/m.exec(out)![1]!;
});

describe('the published MiniLM', () => {
  it('reads every sentence as the same tokens', async () => {
    const tokenizer = await Tokenizer.fromFile(join(folder, 'tokenizer.json'));
    const { data: ids, shape } = stored.get('ids')!;
    const mask = stored.get('mask')!.data;
    const width = shape[1]!;
    sentences.forEach((text, i) => {
      const wanted = Array.from(ids.subarray(i * width, (i + 1) * width), Number).filter(
        (_, t) => Number(mask[i * width + t]) === 1,
      );
      expect({ text, ids: tokenizer.encode(text).ids }).toEqual({ text, ids: wanted });
    });
  });

  it('makes the same vectors of 200 sentences', async () => {
    const { encoder } = await loadTextEncoder(folder);
    const { shape } = stored.get('ids')!;
    expect(shape[0]).toBe(200);
    const table = (name: string) => {
      const { data } = stored.get(name)!;
      return Int32Array.from(data as ArrayLike<number>, Number);
    };
    const [ids, mask, vectors] = [table('ids'), table('mask'), stored.get('vectors')!.data as Float32Array];
    const [count, width] = shape as [number, number];
    const lengths = Array.from({ length: count }, (_, i) =>
      mask.subarray(i * width, (i + 1) * width).reduce((sum, one) => sum + one, 0),
    );
    // Sentences of about one length together.
    const order = lengths.map((_, i) => i).sort((a, b) => lengths[a]! - lengths[b]!);
    let worst = 0;
    for (let at = 0; at < count; at += BATCH) {
      const some = order.slice(at, at + BATCH);
      const tokens = Math.max(...some.map((i) => lengths[i]!));
      const rows = (values: Int32Array) =>
        some.map((i) => [...values.subarray(i * width, i * width + tokens)]);
      const got = tf.tidy(() => {
        const real = tf.tensor2d(rows(mask), undefined, 'float32');
        return sentenceEmbeddings(
          encoder.encode(tf.tensor2d(rows(ids), undefined, 'int32'), real),
          real,
        ).dataSync();
      });
      const size = encoder.hiddenSize;
      some.forEach((i, n) => {
        for (let c = 0; c < size; c++)
          worst = Math.max(worst, Math.abs(got[n * size + c]! - vectors[i * size + c]!));
      });
    }
    encoder.dispose();
    expect(worst).toBeLessThanOrEqual(TOLERANCE);
  });
});
