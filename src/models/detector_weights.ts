// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../errors.js';
import { isDilated } from './backbones/index.js';
import type { ModelConfig } from './config.js';
import { checkModelConfig } from './config_check.js';
import {
  detrNames,
  isHuggingFaceDetr,
  isOriginalDetr,
  originalDetrConfig,
  readHuggingFaceConfig,
} from './deformable_detr/index.js';
import {
  groundingDinoNames,
  isHuggingFaceGroundingDino,
  isMmdetectionGroundingDino,
  isOriginalGroundingDino,
  mmdetectionGroundingDinoConfig,
  mmdetectionNames,
  originalGroundingDinoConfig,
  readGroundingDinoConfig,
} from './grounding_dino/index.js';
import { isOriginalMdetr, mdetrGNames, mdetrNames, originalMdetrConfig } from './mdetr/index.js';
import type { Module } from './module.js';
import { isOriginalScaleMaeDet, originalScaleMaeDetConfig, scaleMaeDetNames } from './scalemae_det/index.js';
import type { CheckpointFile } from './weights/checkpoint_file.js';
import { chooseNames, type NameMap } from './weights/name_map.js';
import type { StoredTensor } from './weights/safetensors.js';
import { type LoadReport, loadStateDict } from './weights/state_dict.js';

type TypeOf = ModelConfig['model_type'];
type ConfigOf<T extends TypeOf> = Extract<ModelConfig, { model_type: T }>;
type Tensors = ReadonlyMap<string, StoredTensor>;

/** How checkpoints of each type of detector are named, besides as we name them. */
const NAMES: { readonly [T in TypeOf]: (config: ConfigOf<T>) => readonly NameMap[] } = {
  'mdetr-g': () => [],
  mdetr: ({ backbone }) => mdetrNames(backbone.name),
  'mdetr-g-upstream': ({ backbone }) => mdetrGNames(backbone.name),
  'grounding-dino': (config) => [...groundingDinoNames(config.backbone.name), ...mmdetectionNames(config)],
  'deformable-detr': ({ backbone }) => detrNames(backbone.name, isDilated(backbone)),
  'scalemae-det': scaleMaeDetNames,
};

/** How checkpoints of a detector may be named: Hugging Face's way, the original repository's, ... */
export function detectorNames(config: ModelConfig): readonly NameMap[] {
  return (NAMES[config.model_type] as (config: ModelConfig) => readonly NameMap[])(config);
}

/**
 * Gives a detector the values of a file, under any of the names that such files have.
 * @param source what messages call the file
 * @throws UserError if anything is missing, unknown or of another shape
 */
export function loadDetectorWeights(
  model: Module,
  tensors: Tensors,
  config: ModelConfig,
  source: string,
): LoadReport {
  const maps = detectorNames(config);
  const names = chooseNames(maps, tensors.keys()) ?? maps[0];
  return loadStateDict(model, tensors, { ...(names ? { names } : {}), source });
}

/** Detectors whose Hugging Face folders are read. */
const HUGGING_FACE: readonly {
  is(config: unknown): boolean;
  read(config: Readonly<Record<string, unknown>>, source: string, tensors: Tensors): ModelConfig;
}[] = [
  {
    is: isHuggingFaceDetr,
    read: (config, source, tensors) =>
      readHuggingFaceConfig(config, source, tensors.has('class_embed.1.weight')),
  },
  { is: isHuggingFaceGroundingDino, read: readGroundingDinoConfig },
];

/** Detectors whose original checkpoints are read. */
const ORIGINALS: readonly {
  is(tensors: Tensors): boolean;
  read(file: CheckpointFile, source: string): ModelConfig;
}[] = [
  { is: isOriginalDetr, read: originalDetrConfig },
  { is: isOriginalMdetr, read: originalMdetrConfig },
  { is: isOriginalGroundingDino, read: originalGroundingDinoConfig },
  { is: isMmdetectionGroundingDino, read: mmdetectionGroundingDinoConfig },
  { is: isOriginalScaleMaeDet, read: originalScaleMaeDetConfig },
];

/** Whether tensors are of a detector that `readOriginalDetector` knows. */
export function isOriginalDetector(tensors: Tensors): boolean {
  return ORIGINALS.some(({ is }) => is(tensors));
}

/** Whether a parsed `config.json` is Hugging Face's, of a detector that is known. */
export function isHuggingFaceDetector(config: unknown): boolean {
  return HUGGING_FACE.some(({ is }) => is(config));
}

/**
 * Our configuration of a Hugging Face folder.
 * @param tensors of its weights: what they hold decides where the file does not say
 * @throws UserError for settings that are not supported
 */
export function readHuggingFaceDetector(
  config: Readonly<Record<string, unknown>>,
  source: string,
  tensors: Tensors,
): ModelConfig {
  return HUGGING_FACE.find(({ is }) => is(config))!.read(config, source, tensors);
}

/**
 * Our configuration of a checkpoint of an original repository, as far as its tensors tell it.
 * @throws UserError if it is of no detector that is known without a configuration, and for settings that are not supported
 */
export function readOriginalDetector(file: CheckpointFile, source: string): ModelConfig {
  const kind = ORIGINALS.find(({ is }) => is(file.tensors));
  if (kind) {
    const name = `${source} (its configuration)`;
    const remedy = 'its arguments do not fit; give a folder with its config.json';
    return checkModelConfig(kind.read(file, source), { name, remedy, exitCode: EXIT_CODES.checkpoint });
  }
  const names = [...file.tensors.keys()].slice(0, 3).join(', ');
  throw new UserError(
    `${source} holds no detector that is known without a config.json (its tensors: ${names}, ...); ` +
      'give a folder with its configuration',
    EXIT_CODES.checkpoint,
  );
}
