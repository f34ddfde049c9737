// SPDX-License-Identifier: Apache-2.0
import { buildBackbone } from './backbones/index.js';
import type { ModelConfig } from './config.js';
import { seedInitialisers } from './init.js';
import { MdetrG } from './mdetr_g.js';
import { buildTextEncoder } from './text/index.js';

/**
 * A detector with fresh weights.
 * @param config from `preset(name)` or a model folder's `config.json`
 * @param seed fixes the weights
 */
export function buildModel(config: ModelConfig, seed = 0): MdetrG {
  seedInitialisers(seed);
  const backbone = buildBackbone(config.backbone.name, { ...config.backbone.config });
  const text = buildTextEncoder(config.text.name, { ...config.text.config });
  return new MdetrG(backbone, text, config.transformer);
}
