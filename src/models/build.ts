// SPDX-License-Identifier: Apache-2.0
import { buildBackbone } from './backbones/index.js';
import type { DeformableDetrConfig, MdetrGConfig, ModelConfig } from './config.js';
import { DeformableDetr } from './deformable_detr/index.js';
import { seedInitialisers } from './init.js';
import { MdetrG } from './mdetr_g.js';
import { buildTextEncoder } from './text/index.js';

/** Detectors drop nothing in training unless their configuration says so; published text encoders do. */
const NO_DROPOUT = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };

/**
 * A detector with fresh weights.
 * @param config from `preset(name)` or a model folder's `config.json`
 * @param seed fixes the weights
 */
export function buildModel(config: MdetrGConfig, seed?: number): MdetrG;
export function buildModel(config: DeformableDetrConfig, seed?: number): DeformableDetr;
export function buildModel(config: ModelConfig, seed?: number): MdetrG | DeformableDetr;
export function buildModel(config: ModelConfig, seed = 0): MdetrG | DeformableDetr {
  seedInitialisers(seed);
  const backbone = buildBackbone(config.backbone.name, { ...config.backbone.config });
  if (config.model_type === 'deformable-detr') {
    return new DeformableDetr(backbone, { ...config.transformer, classes: config.labels.length });
  }
  const text = buildTextEncoder(config.text.name, { ...NO_DROPOUT, ...config.text.config });
  return new MdetrG(backbone, text, config.transformer);
}
