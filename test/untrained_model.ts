// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { buildModel } from '../src/models/build.js';
import { BUNDLED_TOKENIZER } from '../src/models/bundled.js';
import { type DeformableDetrConfig, preset } from '../src/models/config.js';
import { Tokenizer } from '../src/models/text/index.js';
import { saveModelFolder } from '../src/train/checkpoint.js';

/** Writes a folder with a detector of classes as it is before training. The engine must be ready. */
export function writeUntrainedDetector(folder: string, config: DeformableDetrConfig, seed = 1): void {
  const model = buildModel(config, seed);
  saveModelFolder(folder, model, { 'config.json': `${JSON.stringify(config, null, 2)}\n` });
  model.dispose();
}

/**
 * Writes a folder with a model as it is before training. The engine must be ready.
 * @param base its configuration, the vocabulary apart
 */
export function writeUntrainedModel(folder: string, seed = 1, base = preset('mdetr-g-tiny')): void {
  const tokenizerJson = readFileSync(BUNDLED_TOKENIZER, 'utf8');
  const { vocabularySize } = Tokenizer.fromJson(JSON.parse(tokenizerJson), BUNDLED_TOKENIZER);
  const config = structuredClone(base);
  config.text.config.vocab_size = vocabularySize;
  const model = buildModel(config, seed);
  saveModelFolder(folder, model, {
    'config.json': `${JSON.stringify(config, null, 2)}\n`,
    'tokenizer.json': tokenizerJson,
  });
  model.dispose();
}
