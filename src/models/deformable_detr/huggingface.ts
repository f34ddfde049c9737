// SPDX-License-Identifier: Apache-2.0
import type { DeformableDetrConfig } from '../config.js';
import {
  huggingFaceBackbone,
  huggingFaceDetector,
  huggingFaceSettings,
  readDeformableSizes,
} from '../huggingface_config.js';
import { IMAGENET } from '../preprocess.js';

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
): DeformableDetrConfig {
  const read = huggingFaceSettings(config, source, ['deformable_detr'], FIXED);
  const twoStage = config.two_stage === true;
  const queries = twoStage ? read.count('two_stage_num_proposals', 300) : read.count('num_queries', 300);
  const boxRefine = config.with_box_refine === true;
  return {
    model_type: 'deformable-detr',
    preset: 'deformable-detr',
    backbone: backboneOf(config, read.fail),
    labels: labelsOf(config),
    preprocess: { ...IMAGENET, multiple: 32 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      ...readDeformableSizes(read, queries, 1024),
      boxRefine,
      twoStage,
      sharedClassHead: !twoStage && (!boxRefine || !untied),
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
): DeformableDetrConfig['backbone'] {
  const levels = config.num_feature_levels === 1 ? ['stage4'] : ['stage2', 'stage3', 'stage4'];
  const inner = huggingFaceBackbone(config);
  if (inner) return inner;
  const size = /^resnet(18|34|50|101|152)$/.exec(String(config.backbone ?? 'resnet50'));
  if (!size) return fail(`backbone ${JSON.stringify(config.backbone)} is not supported`);
  return { name: `resnet-${size[1]}`, config: { out_features: levels } };
}

/** Whether a parsed `config.json` is Hugging Face's, of a Deformable DETR. */
export function isHuggingFaceDetr(config: unknown): boolean {
  return (config as { model_type?: unknown } | null)?.model_type === 'deformable_detr';
}

/**
 * `config.json` of a `DeformableDetrForObjectDetection` that is this model: the reverse of `readHuggingFaceConfig`.
 */
export function huggingFaceDetrConfig({ backbone, labels, transformer }: DeformableDetrConfig): object {
  const { twoStage, queries } = transformer;
  return {
    architectures: ['DeformableDetrForObjectDetection'],
    model_type: 'deformable_detr',
    ...FIXED,
    ...huggingFaceDetector(transformer, backbone),
    ...(twoStage ? { two_stage_num_proposals: queries } : {}),
    with_box_refine: transformer.boxRefine,
    two_stage: twoStage,
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}
