// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';
import { buildModel, type ModelOf } from '../build.js';
import { type ModelConfig, preset, type TextDetectorConfig } from '../config.js';
import type { LayerKind, LayerSettings } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import { classSlots } from '../scalemae_det/index.js';
import type { WordMask } from '../types.js';

type ConfigOf<T extends ModelConfig['model_type']> = Extract<ModelConfig, { model_type: T }>;

/** Settings: a whole model configuration, or `{ preset: 'mdetr-g-tiny' }`. @param first the preset of no settings */
function configReader<T extends ModelConfig['model_type']>(
  className: string,
  type: T,
  first: string,
): (settings: LayerSettings) => ConfigOf<T> {
  return (settings) => {
    if (settings.backbone) return settings as unknown as ConfigOf<T>;
    const config = preset(String(settings.preset ?? first));
    if (config.model_type === type) return config as ConfigOf<T>;
    throw new UserError(`[${className}] expected a preset of ${type} but received ${config.preset}`);
  };
}

/**
 * Inputs: pixels `[batch, H, W, 3]`, ids `[batch, tokens]`, mask of real tokens, mask of tokens that stand for words.
 * Outputs, of the last decoder layer: logits `[batch, queries, tokens or slots]`, boxes `[batch, queries, 4]`.
 */
function textDetectorKind<T extends TextDetectorConfig['model_type']>(
  className: string,
  type: T,
  first: string,
  slots: (config: ConfigOf<T>) => number | null,
): LayerKind<ModelOf<TextDetectorConfig>> {
  const configOf = configReader(className, type, first);
  return {
    className,
    build: (settings) => buildModel<TextDetectorConfig>(configOf(settings)),
    call: (module, [pixels, ids, textMask, wordMask], mode) => {
      const input = {
        pixels: pixels as tf.Tensor4D,
        pixelMask: null,
        inputIds: ids!.toInt() as tf.Tensor2D,
        textMask: textMask as tf.Tensor2D,
      };
      const output = module.forward(input, wordMask as WordMask, mode);
      return [output.pred_logits, output.pred_boxes];
    },
    outputShape: (settings, [pixels, ids]) => {
      const config = configOf(settings);
      const batch = pixels?.[0] ?? null;
      const { queries } = (config as TextDetectorConfig).transformer;
      return [
        [batch, queries, slots(config) ?? ids?.[1] ?? null],
        [batch, queries, 4],
      ];
    },
  };
}

const detrConfigOf = configReader('DeformableDetr', 'deformable-detr', 'deformable-detr-r50');

/**
 * Input: pixels `[batch, H, W, 3]`.
 * Outputs, of the last decoder layer: logits `[batch, queries, classes]`, boxes `[batch, queries, 4]`.
 */
const DEFORMABLE_DETR: LayerKind<ModelOf<ConfigOf<'deformable-detr'>>> = {
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

const scaleMaeDetConfigOf = configReader('ScaleMaeDet', 'scalemae-det', 'scalemae-det');

/**
 * Inputs: pixels `[batch, H, W, 3]`, and metres per pixel `[batch, 1]` if wanted.
 * Outputs, for each proposal: logits of classes `[batch, proposals, slots]`, boxes of each class by how they differ from the
 * proposal `[batch, proposals, slots, 4]`, and the proposals in pixels `[batch, proposals, 4]`.
 */
const SCALEMAE_DET: LayerKind<ModelOf<ConfigOf<'scalemae-det'>>> = {
  className: 'ScaleMaeDet',
  build: (settings) => buildModel(scaleMaeDetConfigOf(settings)),
  call: (module, [pixels, gsd], mode) => {
    const metres = gsd ? { gsd: gsd.flatten() } : {};
    const input = { pixels: pixels as tf.Tensor4D, pixelMask: null, ...metres };
    const { classLogits, deltas, stage } = module.forward(input, mode);
    return [classLogits, deltas, stage.proposals.boxes];
  },
  outputShape: (settings, [pixels]) => {
    const { detector, labels } = scaleMaeDetConfigOf(settings);
    const batch = pixels?.[0] ?? null;
    const slots = classSlots({ classes: labels.length, parity: detector.parity });
    return [
      [batch, detector.proposals, slots],
      [batch, detector.proposals, slots, 4],
      [batch, detector.proposals, 4],
    ];
  },
};

/** `new ScaleMaeDetLayer({ settings: { preset: 'scalemae-det' } })` */
export const ScaleMaeDetLayer = registerModuleLayer(SCALEMAE_DET);

/** `new DeformableDetrLayer({ settings: { preset: 'deformable-detr-r50' } })` */
export const DeformableDetrLayer = registerModuleLayer(DEFORMABLE_DETR);

/** `new MdetrGLayer({ settings: { preset: 'mdetr-g-tiny' } })` */
export const MdetrGLayer = registerModuleLayer(
  textDetectorKind('MdetrG', 'mdetr-g', 'mdetr-g-tiny', ({ transformer }) =>
    transformer.head === 'soft-token' ? transformer.slots : null,
  ),
);

/** `new GroundingDinoLayer({ settings: { preset: 'grounding-dino-tiny' } })` */
export const GroundingDinoLayer = registerModuleLayer(
  textDetectorKind('GroundingDino', 'grounding-dino', 'grounding-dino-tiny', () => null),
);

/** `new MdetrLayer({ settings: { preset: 'mdetr-r101' } })` */
export const MdetrLayer = registerModuleLayer(
  textDetectorKind('Mdetr', 'mdetr', 'mdetr-r101', ({ transformer }) => transformer.slots),
);

/** MDETR-G as published; its settings are a whole model configuration. */
export const MdetrGUpstreamLayer = registerModuleLayer(
  textDetectorKind(
    'MdetrGUpstream',
    'mdetr-g-upstream',
    'mdetr-g-upstream',
    ({ transformer }) => transformer.slots,
  ),
);
