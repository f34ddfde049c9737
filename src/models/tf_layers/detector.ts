// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';
import { buildModel } from '../build.js';
import { type DeformableDetrConfig, type MdetrGConfig, preset } from '../config.js';
import type { DeformableDetr } from '../deformable_detr/index.js';
import type { LayerKind, LayerSettings } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import type { MdetrG } from '../mdetr_g.js';

/** Settings: a whole model configuration, or `{ preset: 'mdetr-g-tiny' }`. */
function configOf(settings: LayerSettings): MdetrGConfig {
  if (settings.backbone) return settings as unknown as MdetrGConfig;
  const config = preset(String(settings.preset ?? 'mdetr-g-tiny'));
  if (config.model_type === 'mdetr-g') return config;
  throw new UserError(`[MdetrG] expected a preset of mdetr-g but received ${config.preset}`);
}

/** Settings: a whole model configuration, or `{ preset: 'deformable-detr-r50' }`. */
function detrConfigOf(settings: LayerSettings): DeformableDetrConfig {
  if (settings.backbone) return settings as unknown as DeformableDetrConfig;
  const config = preset(String(settings.preset ?? 'deformable-detr-r50'));
  if (config.model_type === 'deformable-detr') return config;
  throw new UserError(`[DeformableDetr] expected a preset of deformable-detr but received ${config.preset}`);
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

/**
 * Input: pixels `[batch, H, W, 3]`.
 * Outputs, of the last decoder layer: logits `[batch, queries, classes]`, boxes `[batch, queries, 4]`.
 */
const DEFORMABLE_DETR: LayerKind<DeformableDetr> = {
  className: 'DeformableDetr',
  build: (settings) => buildModel(detrConfigOf(settings)),
  call: (module, [pixels], { training }) => {
    const output = module.forward({ pixels: pixels as tf.Tensor4D, pixelMask: null }, { training });
    return [output.pred_logits, output.pred_boxes];
  },
  outputShape: (settings, [pixels]) => {
    const { transformer, labels } = detrConfigOf(settings);
    const batch = pixels?.[0] ?? null;
    return [
      [batch, transformer.queries, labels.length],
      [batch, transformer.queries, 4],
    ];
  },
};

/** `new DeformableDetrLayer({ settings: { preset: 'deformable-detr-r50' } })` */
export const DeformableDetrLayer = registerModuleLayer(DEFORMABLE_DETR);

/** `new MdetrGLayer({ settings: { preset: 'mdetr-g-tiny' } })` */
export const MdetrGLayer = registerModuleLayer(MDETR_G);
