// SPDX-License-Identifier: Apache-2.0
import { buildModel } from '../build.js';
import { answersText, type ModelConfig } from '../config.js';
import { parseModelConfig } from '../config_check.js';
import { huggingFaceDetrConfig, originalDetrArguments } from '../deformable_detr/index.js';
import {
  detectorNames,
  isHuggingFaceDetector,
  isOriginalDetector,
  readHuggingFaceDetector,
  readOriginalDetector,
} from '../detector_weights.js';
import { huggingFaceGroundingDinoConfig, originalGroundingDinoArguments } from '../grounding_dino/index.js';
import { originalMdetrArguments } from '../mdetr/index.js';
import { originalScaleMaeDetArguments } from '../scalemae_det/index.js';
import { chooseNames, SAME_NAMES } from '../weights/name_map.js';
import type { TorchValue } from '../weights/torch/write.js';
import type { Published, PublishedKind, Recognised } from './types.js';

type TypeOf = ModelConfig['model_type'];
type ConfigOf<T extends TypeOf> = Extract<ModelConfig, { model_type: T }>;

/** What else than names is written for programs of others. */
interface Elsewhere<T extends TypeOf> {
  /** In words. */
  titleOf(config: ConfigOf<T>): string;
  huggingFaceConfig?: (config: ConfigOf<T>) => object;
  originalArguments?: (config: ConfigOf<T>) => Record<string, TorchValue>;
}

const TYPES: { readonly [T in TypeOf]: Elsewhere<T> } = {
  'mdetr-g': { titleOf: () => 'MDETR-G' },
  mdetr: { titleOf: () => 'MDETR', originalArguments: originalMdetrArguments },
  'mdetr-g-upstream': { titleOf: () => 'MDETR-G as published', originalArguments: originalMdetrArguments },
  'grounding-dino': {
    titleOf: ({ transformer }) => (transformer.logits === 'scaled' ? 'MM-Grounding-DINO' : 'Grounding DINO'),
    huggingFaceConfig: huggingFaceGroundingDinoConfig,
    originalArguments: originalGroundingDinoArguments,
  },
  'deformable-detr': {
    titleOf: () => 'Deformable DETR',
    huggingFaceConfig: huggingFaceDetrConfig,
    originalArguments: originalDetrArguments,
  },
  'scalemae-det': { titleOf: () => 'ScaleMAE-Det', originalArguments: originalScaleMaeDetArguments },
};

/** A detector of this configuration. */
function recognised(config: ModelConfig, { file }: Published): Recognised {
  const { titleOf, huggingFaceConfig, originalArguments } = TYPES[config.model_type] as Elsewhere<TypeOf>;
  const origins = detectorNames(config);
  return {
    title: [titleOf(config), ...partsOf(config)].join(', '),
    config,
    names: chooseNames(origins, file.tensors.keys()) ?? origins[0] ?? SAME_NAMES,
    origins,
    ...(huggingFaceConfig ? { huggingFaceConfig: () => huggingFaceConfig(config) } : {}),
    ...(originalArguments ? { originalArguments: () => originalArguments(config) } : {}),
    build: () => buildModel(config),
  };
}

/** What tells detectors of a type apart, in words. */
function partsOf(config: ModelConfig): string[] {
  const { name } = config.backbone;
  if (answersText(config)) return [name, config.text.name];
  if (config.model_type === 'scalemae-det') return [name, `${config.labels.length} classes`];
  const { labels, transformer } = config;
  const form = transformer.twoStage ? ['two stages'] : transformer.boxRefine ? ['box refinement'] : [];
  return [name, ...form, `${labels.length} classes`];
}

export const DETECTORS: readonly PublishedKind[] = [
  {
    about: 'model folders of tfgeo',
    recognise(published) {
      const given = published.config;
      if (!given || isHuggingFaceDetector(given.values)) return null;
      if (!Object.hasOwn(TYPES, String(given.values.model_type))) return null;
      return recognised(parseModelConfig(given.values, given.path), published);
    },
  },
  {
    about: "Hugging Face's folders of Deformable DETR and Grounding DINO",
    recognise(published) {
      const { config, file } = published;
      if (!config || !isHuggingFaceDetector(config.values)) return null;
      return recognised(readHuggingFaceDetector(config.values, config.path, file.tensors), published);
    },
  },
  {
    about:
      "checkpoints of the original repositories of Deformable DETR, MDETR, MDETR-G, Grounding DINO and ScaleMAE-Det, and of mmdetection's Grounding DINO",
    recognise(published) {
      const { file, source } = published;
      return isOriginalDetector(file.tensors)
        ? recognised(readOriginalDetector(file, source), published)
        : null;
    },
  },
];
