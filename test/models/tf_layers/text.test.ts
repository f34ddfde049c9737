// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { RobertaEncoderLayer } from '../../../src/models/tf_layers/text.js';

beforeAll(async () => {
  await ready();
});

const SETTINGS = {
  vocab_size: 20,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 12,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
};
const folder = mkdtempSync(join(tmpdir(), 'tfgeo-text-layer-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('RobertaEncoderLayer', () => {
  it('reads ids and mask in a model that is trained, saved and loaded', async () => {
    const ids = tf.input({ shape: [6], dtype: 'int32' });
    const mask = tf.input({ shape: [6] });
    const hidden = new RobertaEncoderLayer({ settings: SETTINGS }).apply([ids, mask]) as tf.SymbolicTensor;
    expect(hidden.shape).toEqual([null, 6, 8]);
    const pooled = tf.layers.globalAveragePooling1d({}).apply(hidden) as tf.SymbolicTensor;
    const answer = tf.layers
      .dense({ units: 1, kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }) })
      .apply(pooled) as tf.SymbolicTensor;
    const model = tf.model({ inputs: [ids, mask], outputs: answer });
    model.compile({ optimizer: tf.train.adam(1e-2), loss: 'meanSquaredError' });
    const x = [
      tf.tensor2d([0, 5, 6, 2, 1, 1, 0, 9, 8, 7, 4, 2], [2, 6], 'int32'),
      tf.tensor2d([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1], [2, 6]),
    ];
    const { history } = await model.fit(x, tf.tensor2d([[1], [-1]]), { epochs: 20, verbose: 0 });
    expect(history.loss!.at(-1) as number).toBeLessThan(0.2 * (history.loss![0] as number));
    await model.save(`file://${folder}`);
    const loaded = await tf.loadLayersModel(`file://${folder}/model.json`);
    const [got, wanted] = [loaded, model].map((m) => [...(m.predict(x) as tf.Tensor).dataSync()]);
    expect(got).toEqual(wanted);
  });
});
