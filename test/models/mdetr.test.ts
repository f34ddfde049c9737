// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import type { MdetrConfig, MdetrGUpstreamConfig } from '../../src/models/config.js';
import { overrideModelConfig } from '../../src/models/config_override.js';
import { detectorNames, loadDetectorWeights } from '../../src/models/detector_weights.js';
import type { DetectorInput } from '../../src/models/types.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { smallMdetrConfig, smallUpstreamConfig } from './small_config.js';

beforeAll(async () => {
  await ready();
});

const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

function inputOf(ids = [0, 9, 8, 7, 2]): DetectorInput {
  return {
    pixels: tf.randomNormal([1, 64, 64, 3], 0, 1, 'float32', 7),
    pixelMask: null,
    inputIds: tf.tensor2d(ids, [1, ids.length], 'int32'),
    textMask: tf.ones([1, ids.length]),
  };
}

const CONFIGS: [string, MdetrConfig | MdetrGUpstreamConfig][] = [
  ['mdetr', smallMdetrConfig()],
  ['mdetr-g-upstream, deformable', smallUpstreamConfig('deformable')],
  ['mdetr-g-upstream, vanilla', smallUpstreamConfig('vanilla')],
];

describe.each(CONFIGS)('%s', (_, config) => {
  it('is the same compiled, with and without a mask where nothing is padded', () => {
    const model = buildModel(config, 3);
    tf.tidy(() => {
      const input = inputOf();
      const mask = tf.ones([1, 5]) as tf.Tensor2D;
      const eager = model.forward(input);
      const compiled = model.predict(input, mask);
      const masked = model.forward({ ...input, pixelMask: tf.ones([1, 64, 64]) });
      expect(eager.pred_logits.shape).toEqual([1, 6, 24]);
      expect(eager.aux_outputs).toHaveLength(1);
      for (const other of [compiled, masked]) {
        expect(worst(eager.pred_logits, other.pred_logits)).toBeLessThan(1e-4);
        expect(worst(eager.pred_boxes, other.pred_boxes)).toBeLessThan(1e-5);
      }
    });
    model.dispose();
  });

  it('is saved with the names of its repository, and read again', () => {
    const [model, other] = [buildModel(config, 3), buildModel(config, 4)];
    const [names] = detectorNames(config).filter(({ hallmark }) =>
      hallmark.test('backbone.0.body.layer1.0.conv1.'),
    );
    const saved = saveStateDict(model, { names: names! });
    expect([...saved.keys()]).toEqual(
      expect.arrayContaining([
        'backbone.0.body.layer1.0.conv1.weight',
        'transformer.text_encoder.embeddings.word_embeddings.weight',
        'query_embed.weight',
      ]),
    );
    loadDetectorWeights(other, saved, config, 'a file');
    tf.tidy(() => {
      const input = inputOf();
      expect(worst(model.forward(input).pred_boxes, other.forward(input).pred_boxes)).toBe(0);
    });
    saved.delete('query_embed.weight');
    expect(() => loadDetectorWeights(other, saved, config, 'a file')).toThrow(
      /1 missing \(query_embed.weight\)/,
    );
    for (const each of [model, other]) each.dispose();
  });
});

describe('mdetr-g-upstream', () => {
  const boxesFor = (config: MdetrGUpstreamConfig) => {
    const model = buildModel(config, 3);
    const difference = tf.tidy(() => {
      const [a, b] = [
        [0, 9, 8, 7, 2],
        [0, 5, 6, 11, 2],
      ].map((ids) => model.forward(inputOf(ids)).pred_boxes);
      return worst(a!, b!);
    });
    model.dispose();
    return difference;
  };

  it('looks at the words only where its decoder may read them', () => {
    for (const kind of ['deformable', 'vanilla'] as const) {
      const config = smallUpstreamConfig(kind);
      expect(boxesFor(config)).toBeGreaterThan(1e-6);
      expect(boxesFor(overrideModelConfig(config, { 'transformer.textAttention': false }))).toBe(0);
    }
  });

  it('trains its scales only where they are learned', () => {
    const scales = (changes: Record<string, string>) => {
      const model = buildModel(overrideModelConfig(smallUpstreamConfig('deformable'), changes), 3);
      const names = [...model.trainableParameters().keys()].filter((name) => name.startsWith('logit_scale'));
      const all = [...model.namedParameters().keys()].filter((name) => name.startsWith('logit_scale'));
      model.dispose();
      return { names, all };
    };
    expect(scales({}).names).toEqual(['logit_scale_cls', 'logit_scale_align']);
    const fixed = scales({ 'transformer.classScale': 'off', 'transformer.alignScale': 'hardcoded' });
    expect(fixed.names).toEqual([]);
    expect(fixed.all).toHaveLength(2);
  });

  it('refuses several levels without deformable attention', () => {
    expect(() => overrideModelConfig(smallUpstreamConfig('vanilla'), { 'transformer.levels': 3 })).toThrow(
      'transformer.levels must be 1',
    );
  });
});
