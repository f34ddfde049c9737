// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { buildModel, type ModelOf } from './build.js';
import { modelPlace } from './bundled.js';
import {
  answersText,
  borrowedText,
  type ClassDetectorConfig,
  type ModelConfig,
  type TextDetectorConfig,
} from './config.js';
import { parseModelConfig } from './config_check.js';
import {
  isHuggingFaceDetector,
  loadDetectorWeights,
  readHuggingFaceDetector,
  readOriginalDetector,
} from './detector_weights.js';
import { loadInstalledText, Tokenizer, textEncoderSettings } from './text/index.js';
import { isWeights, readCheckpoint, WEIGHTS_FILE, weightsIn } from './weights/checkpoint_file.js';
import { readHuggingFace } from './weights/huggingface.js';
import type { StoredTensor } from './weights/safetensors.js';

/** A detector that answers sentences, with everything that is needed to use it. */
export interface LoadedTextDetector {
  answers: 'text';
  model: ModelOf<TextDetectorConfig>;
  config: TextDetectorConfig;
  tokenizer: Tokenizer;
  /** Contents of `tokenizer.json`, to be kept beside weights that are saved again. */
  tokenizerJson: string;
}

/** A detector of the classes in a list. */
export interface LoadedClassDetector {
  answers: 'classes';
  model: ModelOf<ClassDetectorConfig>;
  config: ClassDetectorConfig;
}

export type LoadedModel = LoadedTextDetector | LoadedClassDetector;

/** Weights averaged over the last steps; a training checkpoint has them beside its own and is better with them. */
const AVERAGES_FILE = 'ema.safetensors';

/** Files of a model folder. */
const FILES = { config: 'config.json', tokenizer: 'tokenizer.json', weights: WEIGHTS_FILE } as const;

/**
 * Reads a model folder: `config.json`, `model.safetensors` (or parts and their index) and, for a detector that answers sentences, `tokenizer.json`.
 * Hugging Face's folders of Deformable DETR and Grounding DINO are read too, and checkpoints (`.pth`) of the original
 * repositories, a text detector's with `tokenizer.json` beside it. Of a checkpoint of a training run the averaged weights
 * are taken.
 * @param given folder, checkpoint, or name of a model of the package
 * @param adapt changes the configuration before the model is built, in ways that its weights can follow
 * @throws UserError (exit code `checkpoint`) naming the file, and the tensor where one is wrong; nothing stays half loaded
 */
export async function loadModelFolder(
  given: string,
  adapt: <C extends ModelConfig>(config: C) => C = (config) => config,
): Promise<LoadedModel> {
  const { config: found, tensors, source, beside } = await readModel(given);
  const config = adapt(found);
  const text = answersText(config) ? await readTokenizer(beside, config) : null;
  const model = buildModel(config);
  try {
    loadDetectorWeights(model, tensors, config, source);
    if (answersText(config)) await lendText(model as ModelOf<TextDetectorConfig>, config);
  } catch (error) {
    model.dispose();
    throw error;
  }
  const loaded = text ? { answers: 'text', model, config, ...text } : { answers: 'classes', model, config };
  return loaded as LoadedModel;
}

/** Gives a detector the text encoder that its own file lacks. */
async function lendText(model: ModelOf<TextDetectorConfig>, config: TextDetectorConfig): Promise<void> {
  const name = borrowedText(config);
  if (name !== null) await loadInstalledText(model.textEncoder, name);
}

/** What a model folder's detector is asked with, without its weights where there is a `config.json`. @throws UserError as loading would */
export async function modelAnswers(given: string): Promise<LoadedModel['answers']> {
  const folder = modelPlace(given);
  if (await isCheckpoint(folder)) {
    return answersText(readOriginalDetector(await readCheckpoint(folder), folder)) ? 'text' : 'classes';
  }
  const settings = await readConfigFile(folder);
  const path = join(folder, FILES.config);
  const config = isHuggingFaceDetector(settings)
    ? readHuggingFaceDetector(settings as Record<string, unknown>, path, new Map())
    : parseModelConfig(settings, path);
  return answersText(config) ? 'text' : 'classes';
}

/** A detector as it lies on disk. */
interface StoredModel {
  /** Ours, or in our terms. */
  config: ModelConfig;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** What messages call the weights. */
  source: string;
  /** Folder in which the tokenizer is. */
  beside: string;
}

async function readModel(given: string): Promise<StoredModel> {
  const folder = modelPlace(given);
  if (await isCheckpoint(folder)) {
    const file = await readCheckpoint(folder);
    const config = readOriginalDetector(file, folder);
    return { config, tensors: file.tensors, source: folder, beside: dirname(folder) };
  }
  const settings = await readConfigFile(folder);
  const path = join(folder, FILES.config);
  if (isHuggingFaceDetector(settings)) {
    const { config, tensors } = await readHuggingFace(folder);
    return {
      config: readHuggingFaceDetector(config, path, tensors),
      tensors,
      source: folder,
      beside: folder,
    };
  }
  const config = parseModelConfig(settings, path);
  const source = weightsOf(folder);
  return { config, tensors: (await readCheckpoint(source)).tensors, source, beside: folder };
}

function weightsOf(folder: string): string {
  const averages = join(folder, AVERAGES_FILE);
  return existsSync(averages) ? averages : (weightsIn(folder) ?? join(folder, FILES.weights));
}

async function isCheckpoint(path: string): Promise<boolean> {
  return isWeights(path) && ((await stat(path).catch(() => null))?.isFile() ?? false);
}

async function readConfigFile(folder: string): Promise<unknown> {
  await checkFolder(folder);
  return readJson(folder, FILES.config);
}

async function readTokenizer(
  folder: string,
  config: TextDetectorConfig,
): Promise<Pick<LoadedTextDetector, 'tokenizer' | 'tokenizerJson'>> {
  const tokenizerJson = await readText(folder, FILES.tokenizer);
  const tokenizer = await Tokenizer.fromFile(join(folder, FILES.tokenizer));
  checkVocabulary(tokenizer, config, folder);
  return { tokenizer, tokenizerJson };
}

function checkVocabulary({ vocabularySize }: Tokenizer, { text }: TextDetectorConfig, folder: string): void {
  const rows = textEncoderSettings(text.name, text.config).vocab_size;
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
