// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../src/engine/index.js';
import { BUNDLED_MODEL } from '../src/models/bundled.js';
import { moduleOf, profileModel } from '../src/profile_model.js';

describe('profileModel', () => {
  beforeAll(() => ready({ engine: 'tensorflow' }));

  it('tells the modules of a prediction apart', async () => {
    const before = tf.memory().numTensors;
    const { nodes } = await profileModel(BUNDLED_MODEL, { size: 64, runs: 1 });
    const modules = new Set(nodes.map(moduleOf));
    expect(modules).toContain('transformer.encoder.layers.*.self_attn');
    expect(modules).toContain('transformer.decoder.bbox_embed.*.layers.*');
    expect([...modules].filter((name) => name.startsWith('backward'))).toEqual([]);
    expect(nodes.filter(({ op }) => op === 'TfgeoMsDeformAttnRaw')).toHaveLength(6);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('shows gradients, losses and the optimizer of a training step', async () => {
    const { nodes } = await profileModel('mdetr-g-tiny', { size: 64, batch: 2, train: true, runs: 1 });
    const modules = new Set(nodes.map(moduleOf));
    for (const name of [
      'losses',
      'backward/losses',
      'optimizer',
      'backward/transformer.encoder.layers.*.linear1',
    ])
      expect(modules).toContain(name);
  });

  it('says what is wrong with a model that does not exist', async () => {
    await expect(profileModel('mdetr-g-tinny')).rejects.toThrow(/mdetr-g-tinny does not exist/);
  });
});

describe('moduleOf', () => {
  it.each([
    ['model.encoder.layers.3.fc1', 'model.encoder.layers.*.fc1'],
    ['backward/bbox_embed.2.layers.0', 'backward/bbox_embed.*.layers.*'],
    ['backbone.encoder.stages.2.layers.5.layer.1', 'backbone.encoder.stages.2.layers.*.layer.*'],
    ['', ''],
  ])('%s', (scope, name) => {
    expect(moduleOf({ scope })).toBe(name);
  });
});
