// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.js';
import { buildModel } from '../../models/build.js';
import { BUNDLED_TOKENIZER } from '../../models/bundled.js';
import { answersText, borrowedText, preset, type TextDetectorConfig } from '../../models/config.js';
import { type LoadedTextDetector, loadModelFolder } from '../../models/model_folder.js';
import { installedText, loadInstalledText, Tokenizer } from '../../models/text/index.js';
import type { RunConfig } from '../config/schema.js';
import { adaptModel, evaluationSet, trainingSets } from '../task_data.js';
import { buildLosses } from './losses.js';
import { GroundingTask } from './task.js';

/** The training task that a run's configuration describes. @throws UserError for a model that answers no sentences */
export async function buildGroundingTask(config: RunConfig): Promise<GroundingTask> {
  const parts = config.load === null ? await freshModel(config) : await savedModel(config, config.load);
  const { imageSize } = parts.config;
  return new GroundingTask({
    ...parts,
    train: await trainingSets(config, imageSize),
    evaluation: await evaluationSet(config, imageSize),
    batchSize: config.batchSize,
    losses: buildLosses(parts.model, parts.config, config),
  });
}

async function savedModel(config: RunConfig, folder: string): Promise<LoadedTextDetector> {
  const loaded = await loadModelFolder(folder, (base) => adaptModel(base, config));
  if (loaded.answers === 'text') return loaded;
  loaded.model.dispose();
  throw new UserError(`${folder} holds a detector of classes, which learns from no sentences`);
}

async function freshModel(config: RunConfig): Promise<LoadedTextDetector> {
  const base = adaptModel(preset(config.model), config);
  if (!answersText(base)) {
    throw new UserError(`${config.model} is a detector of classes, which learns from no sentences`);
  }
  const borrowed = borrowedText(base);
  const source = borrowed === null ? BUNDLED_TOKENIZER : join(installedText(borrowed), 'tokenizer.json');
  const tokenizerJson = await readFile(source, 'utf8');
  const tokenizer = Tokenizer.fromJson(JSON.parse(tokenizerJson), source);
  const settings = borrowed === null ? withTokenizer(base, tokenizer) : base;
  const model = buildModel(settings, config.seed);
  if (borrowed !== null) await loadInstalledText(model.textEncoder, borrowed);
  return { answers: 'text', model, config: settings, tokenizer, tokenizerJson };
}

/** The configuration for texts of this tokenizer. */
function withTokenizer(config: TextDetectorConfig, tokenizer: Tokenizer): TextDetectorConfig {
  const words = { vocab_size: tokenizer.vocabularySize, pad_token_id: tokenizer.padding.id };
  const text = { ...config.text, config: { ...config.text.config, ...words } };
  if (config.model_type !== 'grounding-dino') return { ...config, text };
  return { ...config, text, transformer: { ...config.transformer, delimiters: delimitersOf(tokenizer) } };
}

/** Ids around and between phrases: special tokens, full stop and question mark. */
function delimitersOf(tokenizer: Tokenizer): number[] {
  const signs = ['a.', 'a?'].map((text) => tokenizer.encode(text, { addSpecialTokens: false }).ids.at(-1)!);
  return [...new Set([...tokenizer.encode('').ids, ...signs])];
}
