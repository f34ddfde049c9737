// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { buildModel } from './build.js';
import type { DeformableDetrConfig, MdetrGConfig, ModelConfig } from './config.js';
import { parseModelConfig } from './config_check.js';
import {
  type DeformableDetr,
  isHuggingFaceDetr,
  loadDetrWeights,
  loadHuggingFaceDetr,
  loadOriginalDetr,
} from './deformable_detr/index.js';
import type { MdetrG } from './mdetr_g.js';
import type { Module } from './module.js';
import { ROBERTA_DEFAULTS, Tokenizer } from './text/index.js';
import { isWeights } from './weights/checkpoint_file.js';
import { readSafetensors } from './weights/safetensors.js';
import { loadStateDict } from './weights/state_dict.js';

/** A detector that answers sentences, with everything that is needed to use it. */
export interface LoadedTextDetector {
  answers: 'text';
  model: MdetrG;
  config: MdetrGConfig;
  tokenizer: Tokenizer;
  /** Contents of `tokenizer.json`, to be kept beside weights that are saved again. */
  tokenizerJson: string;
}

/** A detector of the classes in a list. */
export interface LoadedClassDetector {
  answers: 'classes';
  model: DeformableDetr;
  config: DeformableDetrConfig;
}

export type LoadedModel = LoadedTextDetector | LoadedClassDetector;

/** Weights in a model folder. */
export const WEIGHTS_FILE = 'model.safetensors';

/** Weights averaged over the last steps; a training checkpoint has them beside its own and is better with them. */
const AVERAGES_FILE = 'ema.safetensors';

/** Files of a model folder. */
const FILES = { config: 'config.json', tokenizer: 'tokenizer.json', weights: WEIGHTS_FILE } as const;

/**
 * Reads a model folder: `config.json`, `model.safetensors` and, for a detector that answers sentences, `tokenizer.json`.
 * Hugging Face's folders of Deformable DETR are read too, and checkpoints (`.pth`) of its original repository. Of a
 * checkpoint of a training run the averaged weights are taken.
 * @param folder or a checkpoint
 * @param adapt changes the configuration before the model is built, in ways that its weights can follow
 * @throws UserError (exit code `checkpoint`) naming the file, and the tensor where one is wrong; nothing stays half loaded
 */
export async function loadModelFolder(
  folder: string,
  adapt: <C extends ModelConfig>(config: C) => C = (config) => config,
): Promise<LoadedModel> {
  if (await isCheckpoint(folder)) return { answers: 'classes', ...(await loadOriginalDetr(folder, adapt)) };
  const given = await readConfigFile(folder);
  if (isHuggingFaceDetr(given)) {
    return { answers: 'classes', ...(await loadHuggingFaceDetr(folder, adapt)) };
  }
  const config = adapt(parseModelConfig(given, join(folder, FILES.config)));
  return config.model_type === 'mdetr-g' ? loadText(folder, config) : loadClasses(folder, config);
}

/** What a model folder's detector is asked with, by its `config.json` alone. @throws UserError as loading would */
export async function modelAnswers(folder: string): Promise<LoadedModel['answers']> {
  // All checkpoints that are read without a configuration are of that kind.
  if (await isCheckpoint(folder)) return 'classes';
  const given = await readConfigFile(folder);
  if (isHuggingFaceDetr(given)) return 'classes';
  return parseModelConfig(given, join(folder, FILES.config)).model_type === 'mdetr-g' ? 'text' : 'classes';
}

async function isCheckpoint(path: string): Promise<boolean> {
  return isWeights(path) && ((await stat(path).catch(() => null))?.isFile() ?? false);
}

async function readConfigFile(folder: string): Promise<unknown> {
  await checkFolder(folder);
  return readJson(folder, FILES.config);
}

async function loadText(folder: string, config: MdetrGConfig): Promise<LoadedTextDetector> {
  const tokenizerJson = await readText(folder, FILES.tokenizer);
  const tokenizer = await Tokenizer.fromFile(join(folder, FILES.tokenizer));
  checkVocabulary(tokenizer, config, folder);
  const source = weightsOf(folder);
  const tensors = await readSafetensors(source);
  const model = filled(buildModel(config), (fresh) => loadStateDict(fresh, tensors, { source }));
  return { answers: 'text', model, config, tokenizer, tokenizerJson };
}

async function loadClasses(folder: string, config: DeformableDetrConfig): Promise<LoadedClassDetector> {
  const source = weightsOf(folder);
  const tensors = await readSafetensors(source);
  const { name } = config.backbone;
  const model = filled(buildModel(config), (fresh) => loadDetrWeights(fresh, tensors, name, source));
  return { answers: 'classes', model, config };
}

function weightsOf(folder: string): string {
  const averages = join(folder, AVERAGES_FILE);
  return existsSync(averages) ? averages : join(folder, FILES.weights);
}

/** `model` once `fill` has gone well; freed if not. */
function filled<M extends Module>(model: M, fill: (model: M) => void): M {
  try {
    fill(model);
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function checkVocabulary({ vocabularySize }: Tokenizer, { text }: MdetrGConfig, folder: string): void {
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
    `Model folder ${folder} ${what}. Give a checkpoint, or a folder that holds ${Object.values(FILES).join(', ')}.`,
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
