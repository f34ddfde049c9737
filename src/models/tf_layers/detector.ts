// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { buildModel } from '../build.js';
import { type ModelConfig, preset } from '../config.js';
import type { LayerKind, LayerSettings } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import type { MdetrG } from '../mdetr_g.js';

/** Settings: a whole model configuration, or `{ preset: 'mdetr-g-tiny' }`. */
function configOf(settings: LayerSettings): ModelConfig {
  if (settings.backbone) return settings as unknown as ModelConfig;
  return preset(String(settings.preset ?? 'mdetr-g-tiny'));
}

/**
 * Inputs: pixels `[batch, H, W, 3]`, ids `[batch, tokens]`, mask of real tokens, mask of tokens that stand for words.
 * Outputs, of the last decoder layer: logits `[batch, queries, tokens or slots]`, boxes `[batch, queries, 4]`.
 */
const MDETR_G: LayerKind<MdetrG> = {
  className: 'MdetrG',
  build: (settings) => buildModel(configOf(settings)),
  call: (module, [pixels, ids, textMask, wordMask], { training, random }) => {
    const output = module.forward(
      {
        pixels: pixels as tf.Tensor4D,
        pixelMask: null,
        inputIds: ids!.toInt() as tf.Tensor2D,
        textMask: textMask as tf.Tensor2D,
      },
      wordMask as tf.Tensor2D,
      { training, random },
    );
    return [output.pred_logits, output.pred_boxes];
  },
  outputShape: (settings, [pixels, ids]) => {
    const { transformer } = configOf(settings);
    const batch = pixels?.[0] ?? null;
    const slots = transformer.head === 'soft-token' ? transformer.slots : (ids?.[1] ?? null);
    return [
      [batch, transformer.queries, slots],
      [batch, transformer.queries, 4],
    ];
  },
};

/** `new MdetrGLayer({ settings: { preset: 'mdetr-g-tiny' } })` */
export const MdetrGLayer = registerModuleLayer(MDETR_G);
