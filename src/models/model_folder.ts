// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { buildModel } from './build.js';
import type { ModelConfig } from './config.js';
import { parseModelConfig } from './config_check.js';
import type { MdetrG } from './mdetr_g.js';
import { ROBERTA_DEFAULTS, Tokenizer } from './text/index.js';
import { readSafetensors } from './weights/safetensors.js';
import { loadStateDict } from './weights/state_dict.js';

/** A detector with everything that is needed to use it. */
export interface LoadedModel {
  model: MdetrG;
  config: ModelConfig;
  tokenizer: Tokenizer;
  /** Contents of `tokenizer.json`, to be kept beside weights that are saved again. */
  tokenizerJson: string;
}

/** Weights in a model folder. */
export const WEIGHTS_FILE = 'model.safetensors';

/** Files of a model folder. */
const FILES = { config: 'config.json', tokenizer: 'tokenizer.json', weights: WEIGHTS_FILE } as const;

/**
 * Reads a model folder: `config.json`, `tokenizer.json`, `model.safetensors`.
 * @param adapt changes the configuration before the model is built, in ways that its weights can follow
 * @throws UserError (exit code `checkpoint`) naming the file, and the tensor where one is wrong; nothing stays half loaded
 */
export async function loadModelFolder(
  folder: string,
  adapt: (config: ModelConfig) => ModelConfig = (config) => config,
): Promise<LoadedModel> {
  await checkFolder(folder);
  const config = adapt(parseModelConfig(await readJson(folder, FILES.config), join(folder, FILES.config)));
  const tokenizerJson = await readText(folder, FILES.tokenizer);
  const tokenizer = await Tokenizer.fromFile(join(folder, FILES.tokenizer));
  checkVocabulary(tokenizer, config, folder);
  const weightsPath = join(folder, FILES.weights);
  const tensors = await readSafetensors(weightsPath);
  const model = buildModel(config);
  try {
    loadStateDict(model, tensors, { source: weightsPath });
  } catch (error) {
    model.dispose();
    throw error;
  }
  return { model, config, tokenizer, tokenizerJson };
}

function checkVocabulary({ vocabularySize }: Tokenizer, { text }: ModelConfig, folder: string): void {
  const rows = text.config.vocab_size ?? ROBERTA_DEFAULTS.vocab_size;
  if (vocabularySize <= rows) return;
  throw new UserError(
    `${join(folder, FILES.tokenizer)} has ${vocabularySize} tokens, but the model has room for ${rows} ` +
      `(text.config.vocab_size of ${FILES.config}); copy the tokenizer that belongs to the model`,
    EXIT_CODES.checkpoint,
  );
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory()) return;
  const what = found ? 'is a file, not a folder' : 'does not exist';
  throw new UserError(
    `Model folder ${folder} ${what}. Give a folder that holds ${Object.values(FILES).join(', ')}.`,
    EXIT_CODES.checkpoint,
  );
}

async function readText(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'is missing' : `cannot be read (${error.message})`;
    throw new UserError(
      `${path} ${reason}; a model folder holds ${Object.values(FILES).join(', ')}.`,
      EXIT_CODES.checkpoint,
    );
  });
  if (text.trim() === '') {
    throw new UserError(`${path} is empty; copy the model folder again.`, EXIT_CODES.checkpoint);
  }
  return text;
}

async function readJson(folder: string, name: string): Promise<unknown> {
  const text = await readText(folder, name);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      `${join(folder, name)} is not JSON (${(error as Error).message}); copy the model folder again.`,
      EXIT_CODES.checkpoint,
      { cause: error },
    );
  }
}
