// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { buildBackbone } from '../backbones/index.js';
import { readHuggingFace } from '../weights/huggingface.js';
import { type LoadReport, loadStateDict } from '../weights/state_dict.js';
import { DeformableDetr } from './model.js';
import { renameHuggingFace } from './names.js';
import type { DeformableDetrOptions } from './options.js';

/** What a Hugging Face `config.json` says about a model. */
export interface HuggingFaceDetr {
  backbone: { name: string; config: Record<string, unknown> };
  transformer: DeformableDetrOptions;
  /** By class number. */
  labels: string[];
}

/** Keys whose other values are not supported, and the one that is. */
const FIXED = {
  activation_function: 'relu',
  position_embedding_type: 'sine',
  dilation: false,
} as const;

/**
 * Reads the `config.json` of a `DeformableDetrForObjectDetection`.
 * @param untied each decoder layer has a class head of its own (what the file holds decides, see `loadDeformableDetr`)
 * @throws UserError for a model of another kind, and for settings that are not supported
 */
export function readHuggingFaceConfig(
  config: Readonly<Record<string, unknown>>,
  source: string,
  untied = false,
): HuggingFaceDetr {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  if (config.model_type !== 'deformable_detr') {
    fail(`model_type is ${JSON.stringify(config.model_type)}, expected "deformable_detr"`);
  }
  for (const [key, value] of Object.entries(FIXED)) {
    if ((config[key] ?? value) !== value)
      fail(`${key} ${JSON.stringify(config[key])} is not supported, only ${JSON.stringify(value)}`);
  }
  const count = (key: string, missing: number): number => {
    const value = config[key] ?? missing;
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      fail(`${key} must be a whole number above 0, but it is ${JSON.stringify(value)}`);
    return value as number;
  };
  const labels = labelsOf(config);
  const twoStage = config.two_stage === true;
  return {
    backbone: backboneOf(config, fail),
    labels,
    transformer: {
      dModel: count('d_model', 256),
      encoderLayers: count('encoder_layers', 6),
      encoderHeads: count('encoder_attention_heads', 8),
      encoderPoints: count('encoder_n_points', 4),
      encoderFfn: count('encoder_ffn_dim', 1024),
      decoderLayers: count('decoder_layers', 6),
      decoderHeads: count('decoder_attention_heads', 8),
      decoderPoints: count('decoder_n_points', 4),
      decoderFfn: count('decoder_ffn_dim', 1024),
      levels: count('num_feature_levels', 4),
      queries: twoStage ? count('two_stage_num_proposals', 300) : count('num_queries', 300),
      classes: labels.length,
      boxRefine: config.with_box_refine === true,
      twoStage,
      sharedClassHead: !untied,
    },
  };
}

function labelsOf({ id2label, num_labels }: Readonly<Record<string, unknown>>): string[] {
  const names = (id2label ?? {}) as Record<string, string>;
  const count = Object.keys(names).length || Number(num_labels ?? 91);
  return Array.from({ length: count }, (_, i) => names[String(i)] ?? `class ${i}`);
}

function backboneOf(
  config: Readonly<Record<string, unknown>>,
  fail: (what: string) => never,
): HuggingFaceDetr['backbone'] {
  const levels = config.num_feature_levels === 1 ? ['stage4'] : ['stage2', 'stage3', 'stage4'];
  const inner = config.backbone_config as Record<string, unknown> | null | undefined;
  if (inner) return { name: String(inner.model_type), config: { ...inner } };
  const size = /^resnet(18|34|50|101|152)$/.exec(String(config.backbone ?? 'resnet50'));
  if (!size) return fail(`backbone ${JSON.stringify(config.backbone)} is not supported`);
  return { name: `resnet-${size[1]}`, config: { out_features: levels } };
}

/**
 * A Deformable DETR from a Hugging Face folder (`config.json`, `model.safetensors`), e.g. of `SenseTime/deformable-detr`.
 *
 * @param settings overrides of the backbone's configuration, such as `{ frozen_stages: 2 }`
 * @throws UserError if anything is missing, unknown or of another shape
 */
export async function loadDeformableDetr(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<{ model: DeformableDetr; labels: string[]; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const source = `${folder}/config.json`;
  const read = readHuggingFaceConfig(config, source, tensors.has('class_embed.1.weight'));
  const backbone = buildBackbone(read.backbone.name, { ...read.backbone.config, ...settings });
  const model = new DeformableDetr(backbone, read.transformer);
  const family = read.backbone.name.split('-')[0]!;
  try {
    const report = loadStateDict(model, tensors, { rename: renameHuggingFace(family), source: folder });
    return { model, labels: read.labels, report };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
