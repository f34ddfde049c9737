// SPDX-License-Identifier: Apache-2.0
import type { GroundingDinoConfig } from '../config.js';
import {
  type HuggingFaceSettings,
  huggingFaceBackbone,
  huggingFaceDetector,
  huggingFaceSettings,
  readDeformableSizes,
} from '../huggingface_config.js';
import { IMAGENET } from '../preprocess.js';
import { textEncoderFamily, textEncoderSettings } from '../text/index.js';
import { BERT_DELIMITERS } from './presets.js';

/** Keys whose other values are not supported, and the one that is. */
const FIXED = {
  activation_function: 'relu',
  position_embedding_type: 'sine',
  two_stage: true,
  embedding_init_target: true,
  two_stage_bbox_embed_share: false,
  query_dim: 4,
} as const;

/** Hugging Face's types, and whether they are MM-Grounding-DINO. */
const TYPES: Readonly<Record<string, boolean>> = { 'grounding-dino': false, 'mm-grounding-dino': true };

/** Whether a parsed `config.json` is Hugging Face's, of a Grounding DINO. */
export function isHuggingFaceGroundingDino(config: unknown): boolean {
  const { model_type, transformer } = (config ?? {}) as { model_type?: unknown; transformer?: unknown };
  // Configurations of our own have the same type.
  return typeof model_type === 'string' && Object.hasOwn(TYPES, model_type) && transformer === undefined;
}

/**
 * Reads the `config.json` of a `GroundingDinoForObjectDetection` or `MMGroundingDinoForObjectDetection`.
 * @throws UserError for a model of another kind, and for settings that are not supported
 */
export function readGroundingDinoConfig(
  config: Readonly<Record<string, unknown>>,
  source: string,
): GroundingDinoConfig {
  const read = huggingFaceSettings(config, source, Object.keys(TYPES), FIXED);
  const mm = TYPES[String(config.model_type)]!;
  return {
    model_type: 'grounding-dino',
    preset: String(config.model_type),
    backbone: backboneOf(config, read),
    text: textOf(config, read),
    preprocess: { ...IMAGENET, multiple: 1 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      ...readDeformableSizes(read, read.count('num_queries', 900), 2048),
      textTokens: read.count('max_text_len', 256),
      logits: mm ? 'scaled' : 'dot',
      sharedBoxHead: config.decoder_bbox_embed_share !== false,
      sharedClassHead: !mm || config.decoder_cls_embed_share !== false,
      temperature: Number(config.positional_embedding_temperature ?? 20),
      fusionDropPath: Number(config.fusion_droppath ?? 0.1),
      delimiters: [...BERT_DELIMITERS],
    },
  };
}

function backboneOf(
  config: Readonly<Record<string, unknown>>,
  read: HuggingFaceSettings,
): GroundingDinoConfig['backbone'] {
  const inner = huggingFaceBackbone(config);
  return inner ?? read.fail(`backbone ${JSON.stringify(config.backbone)} is not supported`);
}

/** Files leave out what is BERT's own. */
function textOf(
  config: Readonly<Record<string, unknown>>,
  read: HuggingFaceSettings,
): GroundingDinoConfig['text'] {
  const given = (config.text_config ?? {}) as Readonly<Record<string, unknown>>;
  const name = String(given.model_type ?? 'bert');
  return { name, config: { ...read.textEncoder(name, given), add_pooling_layer: false } };
}

/**
 * `config.json` of a `GroundingDinoForObjectDetection` (with `scaled` logits `MMGroundingDinoForObjectDetection`) that is
 * this model: the reverse of `readGroundingDinoConfig`.
 */
export function huggingFaceGroundingDinoConfig({
  backbone,
  text,
  transformer,
}: GroundingDinoConfig): Record<string, unknown> {
  const mm = transformer.logits === 'scaled';
  return {
    architectures: [mm ? 'MMGroundingDinoForObjectDetection' : 'GroundingDinoForObjectDetection'],
    model_type: mm ? 'mm-grounding-dino' : 'grounding-dino',
    ...FIXED,
    ...huggingFaceDetector(transformer, backbone),
    text_config: {
      model_type: textEncoderFamily(text.name),
      ...textEncoderSettings(text.name, text.config),
    },
    max_text_len: transformer.textTokens,
    positional_embedding_temperature: transformer.temperature,
    fusion_droppath: transformer.fusionDropPath,
    decoder_bbox_embed_share: transformer.sharedBoxHead,
    ...(mm ? { decoder_cls_embed_share: transformer.sharedClassHead } : {}),
  };
}
