// SPDX-License-Identifier: Apache-2.0
import { type Backbone, backboneCountsMetres, buildBackbone } from './backbones/index.js';
import { answersText, type ModelConfig, type TextDetectorConfig } from './config.js';
import { DeformableDetr } from './deformable_detr/index.js';
import { GroundingDino } from './grounding_dino/index.js';
import { seedInitialisers } from './init.js';
import { Mdetr, MdetrGUpstream } from './mdetr/index.js';
import { MdetrG } from './mdetr_g.js';
import { ScaleMaeDet } from './scalemae_det/index.js';
import { buildTextEncoder, type TransformerTextEncoder } from './text/index.js';

/** Detectors drop nothing in training unless their configuration says so; published text encoders do. */
const NO_DROPOUT = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };

/** Detectors by the `model_type` of their configuration. */
interface Models {
  'mdetr-g': MdetrG;
  mdetr: Mdetr;
  'mdetr-g-upstream': MdetrGUpstream;
  'grounding-dino': GroundingDino;
  'deformable-detr': DeformableDetr;
  'scalemae-det': ScaleMaeDet;
}

/** The detector that a configuration describes. */
export type ModelOf<C extends ModelConfig> = Models[C['model_type']];

type ConfigOf<T extends ModelConfig['model_type']> = Extract<ModelConfig, { model_type: T }>;

/** How the detectors are put together. */
const BUILDERS: {
  readonly [T in ModelConfig['model_type']]: ConfigOf<T> extends TextDetectorConfig
    ? (config: ConfigOf<T>, backbone: Backbone, text: TransformerTextEncoder) => Models[T]
    : (config: ConfigOf<T>, backbone: Backbone) => Models[T];
} = {
  'mdetr-g': (config, backbone, text) =>
    new MdetrG(backbone, text, config.transformer, { borrowedText: config.text.weights !== undefined }),
  mdetr: ({ transformer }, backbone, text) => new Mdetr(backbone, text, transformer),
  'mdetr-g-upstream': ({ transformer }, backbone, text) => new MdetrGUpstream(backbone, text, transformer),
  'grounding-dino': ({ transformer }, backbone, text) => new GroundingDino(backbone, text, transformer),
  'deformable-detr': ({ transformer, labels }, backbone) =>
    new DeformableDetr(backbone, { ...transformer, classes: labels.length }),
  'scalemae-det': ({ detector, labels }, backbone) =>
    new ScaleMaeDet(backbone, { ...detector, classes: labels.length }),
};

/**
 * A detector with fresh weights.
 * @param config from `preset(name)` or a model folder's `config.json`
 * @param seed fixes the weights
 */
export function buildModel<C extends ModelConfig>(config: C, seed = 0): ModelOf<C> {
  seedInitialisers(seed);
  const { model_type } = config;
  const { name, config: settings } = config.backbone;
  // The reference keeps a table for pictures of this size.
  const tables = backboneCountsMetres(name) ? { image_size: config.imageSize } : {};
  const backbone = buildBackbone(name, { ...tables, ...settings });
  const text = answersText(config)
    ? buildTextEncoder(config.text.name, { ...NO_DROPOUT, ...config.text.config })
    : null;
  const build = BUILDERS[model_type] as unknown as (
    config: C,
    backbone: Backbone,
    text: TransformerTextEncoder | null,
  ) => ModelOf<C>;
  return build(config, backbone, text);
}
