// SPDX-License-Identifier: Apache-2.0
import { backboneConfig } from '../backbones/index.js';
import type { DeformableDetrConfig } from '../config.js';
import { huggingFaceBackbone, huggingFaceSettings } from '../huggingface_config.js';
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
  const { count, fail } = huggingFaceSettings(config, source, ['deformable_detr'], FIXED);
  const twoStage = config.two_stage === true;
  const boxRefine = config.with_box_refine === true;
  return {
    model_type: 'deformable-detr',
    preset: 'deformable-detr',
    backbone: backboneOf(config, fail),
    labels: labelsOf(config),
    preprocess: { ...IMAGENET, multiple: 32 },
    imageSize: 800,
    threshold: 0.3,
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
    backbone: null,
    backbone_config: backboneConfig(backbone.name, backbone.config),
    use_pretrained_backbone: false,
    use_timm_backbone: false,
    d_model: transformer.dModel,
    encoder_layers: transformer.encoderLayers,
    encoder_attention_heads: transformer.encoderHeads,
    encoder_n_points: transformer.encoderPoints,
    encoder_ffn_dim: transformer.encoderFfn,
    decoder_layers: transformer.decoderLayers,
    decoder_attention_heads: transformer.decoderHeads,
    decoder_n_points: transformer.decoderPoints,
    decoder_ffn_dim: transformer.decoderFfn,
    num_feature_levels: transformer.levels,
    num_queries: queries,
    ...(twoStage ? { two_stage_num_proposals: queries } : {}),
    with_box_refine: transformer.boxRefine,
    two_stage: twoStage,
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}
