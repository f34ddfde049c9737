// SPDX-License-Identifier: Apache-2.0
import { buildModel } from '../build.js';
import type { DeformableDetrConfig } from '../config.js';
import { parseModelConfig } from '../config_check.js';
import {
  detrNames,
  huggingFaceDetrConfig,
  isHuggingFaceDetr,
  isOriginalDetr,
  originalDetrArguments,
  originalDetrConfig,
  readHuggingFaceConfig,
} from '../deformable_detr/index.js';
import { chooseNames, SAME_NAMES } from '../weights/name_map.js';
import type { Published, PublishedKind, Recognised } from './types.js';

/** A Deformable DETR of this configuration. */
function recognisedDetr(config: DeformableDetrConfig, { file }: Published): Recognised {
  const { backbone, labels, transformer } = config;
  const origins = detrNames(backbone.name);
  const form = transformer.twoStage ? ['two stages'] : transformer.boxRefine ? ['box refinement'] : [];
  return {
    title: ['Deformable DETR', backbone.name, ...form, `${labels.length} classes`].join(', '),
    config,
    names: chooseNames(origins, file.tensors.keys()) ?? origins[0]!,
    origins,
    huggingFaceConfig: () => huggingFaceDetrConfig(config),
    originalArguments: () => originalDetrArguments(config),
    build: () => buildModel(config),
  };
}

/** Folders that tfgeo writes. */
const OWN_TYPES = ['mdetr-g', 'deformable-detr'];

export const DETECTORS: readonly PublishedKind[] = [
  {
    about: 'model folders of tfgeo',
    recognise(published) {
      const given = published.config;
      if (!given || !OWN_TYPES.includes(String(given.values.model_type))) return null;
      const config = parseModelConfig(given.values, given.path);
      if (config.model_type === 'deformable-detr') return recognisedDetr(config, published);
      return {
        title: `MDETR-G, ${config.backbone.name}, ${config.text.name}`,
        config,
        names: SAME_NAMES,
        origins: [SAME_NAMES],
        build: () => buildModel(config),
      };
    },
  },
  {
    about: "Hugging Face's folders of Deformable DETR",
    recognise(published) {
      const { config: given, file } = published;
      if (!given || !isHuggingFaceDetr(given.values)) return null;
      const untied = file.tensors.has('class_embed.1.weight');
      return recognisedDetr(readHuggingFaceConfig(given.values, given.path, untied), published);
    },
  },
  {
    about: "checkpoints of Deformable DETR's original repository",
    recognise(published) {
      const { file, source } = published;
      return isOriginalDetr(file.tensors)
        ? recognisedDetr(originalDetrConfig(file, source), published)
        : null;
    },
  },
];
