// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { buildModel } from '../src/models/build.js';
import { BUNDLED_TOKENIZER } from '../src/models/bundled.js';
import { answersText, type DeformableDetrConfig, type ModelConfig, preset } from '../src/models/config.js';
import type { Module } from '../src/models/module.js';
import { Tokenizer } from '../src/models/text/index.js';
import { saveModelFolder } from '../src/train/checkpoint.js';
import { bertTokenizerJson } from './models/bert_tokenizer.js';

/**
 * Writes a folder with a detector as it is before training. The engine must be ready.
 * @param base its configuration, the vocabulary apart
 * @param change is given the model before it is saved
 */
export function writeUntrained(
  folder: string,
  base: ModelConfig,
  seed = 1,
  change: (model: Module) => unknown = () => undefined,
): void {
  const config = structuredClone(base);
  const files: Record<string, string> = {};
  if (answersText(config)) {
    const tokenizerJson =
      config.text.name === 'bert' ? bertTokenizerJson() : readFileSync(BUNDLED_TOKENIZER, 'utf8');
    const { vocabularySize } = Tokenizer.fromJson(JSON.parse(tokenizerJson), 'tokenizer.json');
    config.text.config.vocab_size = vocabularySize;
    files['tokenizer.json'] = tokenizerJson;
  }
  const model = buildModel<ModelConfig>(config, seed);
  change(model);
  saveModelFolder(folder, model, { 'config.json': `${JSON.stringify(config, null, 2)}\n`, ...files });
  model.dispose();
}

/** A detector of classes, as {@link writeUntrained}. */
export function writeUntrainedDetector(folder: string, config: DeformableDetrConfig, seed = 1): void {
  writeUntrained(folder, config, seed);
}

/** A detector that answers sentences, as {@link writeUntrained}. */
export function writeUntrainedModel(folder: string, seed = 1, base = preset('mdetr-g-tiny')): void {
  writeUntrained(folder, base, seed);
}
