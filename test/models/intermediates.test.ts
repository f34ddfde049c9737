// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import { answersText, type ModelConfig, PRESETS } from '../../src/models/config.js';
import type { Module } from '../../src/models/module.js';
import { SMALL_DETECTORS } from './small_config.js';

/** Values that a type of detector must tell. */
const WANTED: Readonly<Record<ModelConfig['model_type'], readonly RegExp[]>> = {
  'mdetr-g': [/^encoder\.image\.1$/, /^encoder\.text\.1$/, /^memory$/, /^references$/, /^hidden$/],
  mdetr: [/^proj$/, /^encoder\.1$/, /^img_memory$/, /^hs$/],
  'mdetr-g-upstream': [/^proj(\.2)?$/, /^encoder\.1$/, /^img_memory$/, /^hs$/],
  'grounding-dino': [/^encoder\.0\.vision$/, /^encoder\.0\.text$/, /^intermediate_hidden_states$/],
  'deformable-detr': [/^encoder_layer\.1$/, /^reference_points$/, /^intermediate_hidden_states$/],
  'scalemae-det': [/^pyramid\.3$/, /^objectness$/, /^proposals$/, /^regions$/, /^class_logits$/],
};

/** A detector, as far as this test calls it. */
interface Told extends Module {
  forward(...given: unknown[]): { intermediates: Record<string, tf.Tensor> } & Record<string, unknown>;
}

beforeAll(async () => {
  await ready();
});

/** Runs a detector on a picture, and a text if it takes one. */
function run(config: ModelConfig, model: Told, intermediates: boolean) {
  const pixels = tf.randomNormal([1, 64, 64, 3], 0, 1, 'float32', 1);
  if (!answersText(config)) return model.forward({ pixels, pixelMask: null }, { intermediates });
  const inputIds = tf.tensor2d([[4, 7, 9, 11, 2]], [1, 5], 'int32');
  const words = tf.ones([1, 5]);
  return model.forward({ pixels, pixelMask: null, inputIds, textMask: words }, words, { intermediates });
}

/** The tensors among the answers, apart from what is told. */
function answers({ intermediates: _, ...output }: Record<string, unknown>): number[][] {
  const tensors = Object.values(output).filter((value) => value instanceof tf.Tensor);
  return tensors.map((tensor) => [...tensor.dataSync()]);
}

describe('values inside a detector', () => {
  it.each(SMALL_DETECTORS)('%s tells every stage by name, and answers the same', (_, config) => {
    const model = buildModel(config, 2) as unknown as Told;
    tf.tidy(() => {
      const [told, silent] = [true, false].map((asked) => run(config, model, asked));
      expect(silent!.intermediates).toEqual({});
      expect(answers(told!).length).toBeGreaterThan(1);
      expect(answers(told!)).toEqual(answers(silent!));
      const names = Object.keys(told!.intermediates);
      const text = answersText(config) ? [/^text_encoder\.embeddings$/, /^text_encoder\.layer\.0$/] : [];
      const last = config.model_type === 'scalemae-det' ? /^backbone\.block1$/ : /^backbone\..*stage4/;
      for (const wanted of [last, ...text, ...WANTED[config.model_type]])
        expect(names.filter((name) => wanted.test(name))).not.toEqual([]);
      for (const value of Object.values(told!.intermediates)) expect(value.isDisposed).toBe(false);
    });
    model.dispose();
  });

  it('are looked at for every type there is', () => {
    const types = new Set(SMALL_DETECTORS.map(([, { model_type }]) => model_type));
    for (const { model_type } of Object.values(PRESETS)) expect(types).toContain(model_type);
  });
});
