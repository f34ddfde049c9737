// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import { answersText, type ModelConfig, PRESETS } from '../../src/models/config.js';
import type { DeformableDetr } from '../../src/models/deformable_detr/index.js';
import type { Module } from '../../src/models/module.js';
import type { TextDetector } from '../../src/models/text_detector.js';
import {
  smallConfig,
  smallDetrConfig,
  smallGroundingDinoConfig,
  smallMdetrConfig,
  smallUpstreamConfig,
} from './small_config.js';

/** Values that a kind of detector must tell; a pattern may stand for several. */
const ROWS: readonly (readonly [config: ModelConfig, values: RegExp[]])[] = [
  [
    smallConfig('token-sigmoid'),
    [/^encoder\.image\.1$/, /^encoder\.text\.1$/, /^memory$/, /^references$/, /^hidden$/],
  ],
  [smallMdetrConfig(), [/^proj$/, /^encoder\.1$/, /^img_memory$/, /^hs$/]],
  [smallUpstreamConfig('vanilla'), [/^proj$/, /^encoder\.1$/, /^img_memory$/, /^hs$/]],
  [smallUpstreamConfig('deformable'), [/^proj\.2$/, /^encoder\.1$/, /^img_memory$/, /^hs$/]],
  [
    smallGroundingDinoConfig(),
    [/^encoder_input$/, /^encoder\.0\.vision$/, /^encoder\.0\.text$/, /^intermediate_hidden_states$/],
  ],
  [
    smallDetrConfig('two-stage'),
    [/^encoder_input$/, /^encoder_layer\.1$/, /^reference_points$/, /^intermediate_hidden_states$/],
  ],
];

beforeAll(async () => {
  await ready();
});

/** Runs a detector on a picture, and a text if it takes one. */
function run(config: ModelConfig, model: Module, intermediates: boolean) {
  const pixels = tf.randomNormal([1, 64, 64, 3], 0, 1, 'float32', 1) as tf.Tensor4D;
  if (!answersText(config)) {
    return (model as DeformableDetr).forward({ pixels, pixelMask: null }, { intermediates });
  }
  const inputIds = tf.tensor2d([[4, 7, 9, 11, 2]], [1, 5], 'int32');
  const words = tf.ones([1, 5]) as tf.Tensor2D;
  const input = { pixels, pixelMask: null, inputIds, textMask: words };
  return (model as unknown as TextDetector).forward(input, words, { intermediates }) as ReturnType<
    DeformableDetr['forward']
  >;
}

describe('values inside a detector', () => {
  it.each(ROWS.map(([config, values]) => [config.preset, config, values] as const))(
    '%s tells every stage by name, and answers the same',
    (_, config, values) => {
      const model = buildModel(config) as Module;
      tf.tidy(() => {
        const [with_, without] = [true, false].map((asked) => run(config, model, asked));
        expect(without!.intermediates).toEqual({});
        expect(with_!.pred_boxes.dataSync()).toEqual(without!.pred_boxes.dataSync());
        const names = Object.keys(with_!.intermediates);
        const text = answersText(config) ? [/^text_encoder\.embeddings$/, /^text_encoder\.layer\.0$/] : [];
        for (const wanted of [/^backbone\..*stage4/, ...text, ...values])
          expect(names.filter((name) => wanted.test(name))).not.toEqual([]);
        for (const value of Object.values(with_!.intermediates)) expect(value.isDisposed).toBe(false);
      });
      model.dispose();
    },
  );

  it('are looked at for every kind there is', () => {
    const kinds = new Set(Object.values(PRESETS).map(({ model_type }) => model_type));
    expect(new Set(ROWS.map(([{ model_type }]) => model_type))).toEqual(kinds);
  });
});
