// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { buildBackbone } from '../backbones/index.js';
import type { DeformableDetrConfig } from '../config.js';
import { readCheckpoint } from '../weights/checkpoint_file.js';
import { readHuggingFace } from '../weights/huggingface.js';
import { chooseNames } from '../weights/name_map.js';
import type { StoredTensor } from '../weights/safetensors.js';
import { type LoadReport, loadStateDict } from '../weights/state_dict.js';
import { readHuggingFaceConfig } from './huggingface.js';
import { DeformableDetr } from './model.js';
import { detrNames } from './names.js';
import { isOriginalDetr, originalDetrConfig } from './original.js';

/** A detector with its configuration, ready to be used and to be saved. */
export interface LoadedDetr {
  model: DeformableDetr;
  config: DeformableDetrConfig;
}

/** Changes a configuration before the model is built, in ways that its weights can follow. */
export type AdaptConfig = (config: DeformableDetrConfig) => DeformableDetrConfig;

/**
 * Gives a model the values of a file, whose names are Hugging Face's or the original repository's.
 * @param backbone name of the backbone: a family, or one of its sizes
 * @throws UserError if anything is missing, unknown or of another shape
 */
export function loadDetrWeights(
  model: DeformableDetr,
  tensors: ReadonlyMap<string, StoredTensor>,
  backbone: string,
  source: string,
): LoadReport {
  const maps = detrNames(backbone);
  return loadStateDict(model, tensors, { names: chooseNames(maps, tensors.keys()) ?? maps[0]!, source });
}

/**
 * A Deformable DETR from a Hugging Face folder (`config.json`, weights), e.g. of `SenseTime/deformable-detr`.
 * @throws UserError if anything is missing, unknown, not supported or of another shape
 */
export async function loadHuggingFaceDetr(
  folder: string,
  adapt: AdaptConfig = (config) => config,
): Promise<LoadedDetr> {
  const { config: given, tensors } = await readHuggingFace(folder);
  const untied = tensors.has('class_embed.1.weight');
  return filled(adapt(readHuggingFaceConfig(given, `${folder}/config.json`, untied)), tensors, folder);
}

/**
 * A Deformable DETR from a checkpoint of the original repository (`r50_deformable_detr-checkpoint.pth`, ...).
 * @throws UserError if it is none, or anything is missing, unknown, not supported or of another shape
 */
export async function loadOriginalDetr(
  path: string,
  adapt: AdaptConfig = (config) => config,
): Promise<LoadedDetr> {
  const file = await readCheckpoint(path);
  if (!isOriginalDetr(file.tensors)) {
    const names = [...file.tensors.keys()].slice(0, 3).join(', ');
    throw new UserError(
      `${path} holds no detector that is known without a config.json (its tensors: ${names}, ...); ` +
        'give a folder with its configuration',
      EXIT_CODES.checkpoint,
    );
  }
  return filled(adapt(originalDetrConfig(file, path)), file.tensors, path);
}

/** The model with these weights; nothing stays if they do not fit. */
function filled(
  config: DeformableDetrConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): LoadedDetr {
  const { name, config: settings } = config.backbone;
  const classes = config.labels.length;
  const model = new DeformableDetr(buildBackbone(name, { ...settings }), { ...config.transformer, classes });
  try {
    loadDetrWeights(model, tensors, name, source);
    return { model, config };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
