// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { backboneConfig } from '../backbones/index.js';
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
} as const;

/** Sizes of timm's ResNets, whose names Hugging Face's files give. */
const TIMM = /^resnet(18|34|50|101|152)$/;

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
  const dilation = config.dilation ?? false;
  if (typeof dilation !== 'boolean') return fail(`dilation must be true or false`);
  const inner = huggingFaceBackbone(config);
  if (inner?.name === 'timm_backbone') return timmBackbone(inner.config, dilation, fail);
  if (inner && dilation) return fail('dilation true is not supported with a backbone_config, only with timm');
  if (inner) return inner;
  const out_indices = config.num_feature_levels === 1 ? [4] : [2, 3, 4];
  const output_stride = dilation ? 16 : 32;
  return timmBackbone(
    { backbone: config.backbone ?? 'resnet50', out_indices, output_stride },
    dilation,
    fail,
  );
}

/** A ResNet of timm, by the settings of Hugging Face's `timm_backbone`. @param dilation what the detector says of it */
function timmBackbone(
  { backbone, out_indices = [2, 3, 4], output_stride }: Readonly<Record<string, unknown>>,
  dilation: boolean,
  fail: (what: string) => never,
): DeformableDetrConfig['backbone'] {
  const size = TIMM.exec(String(backbone));
  if (!size) return fail(`backbone ${JSON.stringify(backbone)} is not supported`);
  const stride = output_stride ?? 32;
  if (stride !== (dilation ? 16 : 32))
    return fail(`output_stride ${stride} is not supported with dilation ${dilation}`);
  const out_features = (out_indices as unknown[]).map((index) => `stage${index}`);
  return { name: `resnet-${size[1]}`, config: { out_features, ...(dilation ? { dilation } : {}) } };
}

/** Whether a parsed `config.json` is Hugging Face's, of a Deformable DETR. */
export function isHuggingFaceDetr(config: unknown): boolean {
  return (config as { model_type?: unknown } | null)?.model_type === 'deformable_detr';
}

/** Keys that describe a dilated backbone, null for others. @throws UserError for one that timm has not: only timm's are dilated there */
function dilatedKeys({ name, config }: DeformableDetrConfig['backbone'], levels: number): object | null {
  const { dilation, out_features } = backboneConfig(name, config);
  if (dilation !== true) return null;
  const backbone = name.replace('-', '');
  const expected = levels === 1 ? 'stage4' : 'stage2,stage3,stage4';
  if (TIMM.test(backbone) && String(out_features) === expected) {
    return { dilation, backbone, backbone_config: null, use_timm_backbone: true };
  }
  throw new UserError(
    `Hugging Face has dilation only in timm's ResNets with the maps ${expected}; use other names`,
    EXIT_CODES.checkpoint,
  );
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
    ...huggingFaceDetector(transformer, backbone, dilatedKeys(backbone, transformer.levels)),
    ...(twoStage ? { two_stage_num_proposals: queries } : {}),
    with_box_refine: transformer.boxRefine,
    two_stage: twoStage,
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}
