// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../errors.js';
import type { SwinConfig } from './backbones/index.js';
import { DETR_PRESETS, type DeformableDetrOptions, type DetrPresetName } from './deformable_detr/index.js';
import {
  GROUNDING_DINO_PRESETS,
  type GroundingDinoOptions,
  type GroundingDinoPresetName,
} from './grounding_dino/index.js';
import {
  MDETR_G_PRESETS,
  MDETR_PRESETS,
  type MdetrGPresetName,
  type MdetrGUpstreamOptions,
  type MdetrOptions,
  type MdetrPresetName,
} from './mdetr/index.js';
import type { MdetrGOptions } from './mdetr_g.js';
import { IMAGENET, type PreprocessConfig } from './preprocess.js';
import {
  SCALEMAE_DET_PRESETS,
  type ScaleMaeDetOptions,
  type ScaleMaeDetPresetName,
} from './scalemae_det/index.js';
import type { TextEncoderConfig } from './text/index.js';

/** What every detector's `config.json` has. */
interface CommonConfig {
  /** Preset the configuration started from. */
  preset: string;
  preprocess: PreprocessConfig;
  /** Side of the pictures it was trained on, in pixels; larger ones are cut into tiles of this size. */
  imageSize: number;
  /** Detections below this score are not reported unless asked for. */
  threshold: number;
}

/** A detector that answers sentences. */
export interface MdetrGConfig extends CommonConfig {
  model_type: 'mdetr-g';
  backbone: { name: string; config: Partial<SwinConfig> };
  text: {
    name: string;
    config: Partial<TextEncoderConfig>;
    /** Published text encoder whose weights it has, from outside the model's file; it is not trained. Absent: its own. */
    weights?: string;
  };
  transformer: MdetrGOptions;
}

/** What detectors with a backbone and a text encoder of any family have. */
interface TextConfig extends CommonConfig {
  backbone: { name: string; config: Readonly<Record<string, unknown>> };
  text: { name: string; config: Partial<TextEncoderConfig> };
}

/** Grounding DINO, a detector that answers sentences. */
export interface GroundingDinoConfig extends TextConfig {
  model_type: 'grounding-dino';
  transformer: GroundingDinoOptions;
}

/** MDETR as published, a detector that answers sentences. */
export interface MdetrConfig extends TextConfig {
  model_type: 'mdetr';
  transformer: MdetrOptions;
}

/** MDETR-G as published. */
export interface MdetrGUpstreamConfig extends TextConfig {
  model_type: 'mdetr-g-upstream';
  transformer: MdetrGUpstreamOptions;
}

/** A detector of the classes in a list. */
export interface DeformableDetrConfig extends CommonConfig {
  model_type: 'deformable-detr';
  backbone: { name: string; config: Readonly<Record<string, unknown>> };
  transformer: Omit<DeformableDetrOptions, 'classes'>;
  /** Names of the classes, by number. */
  labels: string[];
}

/** ScaleMAE-Det, a detector of the classes in a list. */
export interface ScaleMaeDetConfig extends CommonConfig {
  model_type: 'scalemae-det';
  backbone: { name: string; config: Readonly<Record<string, unknown>> };
  detector: Omit<ScaleMaeDetOptions, 'classes'>;
  /** Names of the classes, by number. */
  labels: string[];
}

/** `config.json` of a detector: all that is needed to build it and to use it, weights and tokenizer apart. */
export type ModelConfig =
  | MdetrGConfig
  | MdetrConfig
  | MdetrGUpstreamConfig
  | GroundingDinoConfig
  | DeformableDetrConfig
  | ScaleMaeDetConfig;

/** `config.json` of a detector that answers sentences. */
export type TextDetectorConfig = Extract<ModelConfig, { text: object }>;

/** `config.json` of a detector of classes. */
export type ClassDetectorConfig = Extract<ModelConfig, { labels: string[] }>;

/** Whether a detector answers sentences. */
export function answersText(config: ModelConfig): config is TextDetectorConfig {
  return 'text' in config;
}

/** The published text encoder that a detector takes the weights of, from outside its file; null: it has its own. */
export function borrowedText(config: TextDetectorConfig): string | null {
  return ('weights' in config.text ? config.text.weights : undefined) ?? null;
}

const COMMON = { model_type: 'mdetr-g', preprocess: { ...IMAGENET, multiple: 32 } } as const;

const TINY: MdetrGConfig = {
  ...COMMON,
  preset: 'mdetr-g-tiny',
  backbone: {
    name: 'swin',
    config: {
      embed_dim: 32,
      depths: [2, 2, 2, 2],
      num_heads: [2, 4, 8, 16],
      window_size: 5,
      stem: 'conv',
      initializer_range: 0.06,
      out_features: ['stage1', 'stage2', 'stage3', 'stage4'],
    },
  },
  text: {
    name: 'roberta',
    config: {
      vocab_size: 1200,
      hidden_size: 128,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      intermediate_size: 256,
      max_position_embeddings: 66,
      add_pooling_layer: false,
    },
  },
  transformer: {
    dModel: 128,
    heads: 8,
    encoderLayers: 3,
    decoderLayers: 3,
    ffn: 256,
    points: 2,
    queries: 40,
    head: 'token-sigmoid',
    querySource: 'text',
    fineLevels: 1,
    alignDim: 64,
    slots: 256,
    textToImage: true,
    imageToText: true,
  },
  imageSize: 160,
  threshold: 0.3,
};

/**
 * Presets by name.
 * - `mdetr-g`: the published sizes (three encoder and decoder layers of width 256, 100 queries) with text in encoder and decoder.
 * - `mdetr-g-tiny`: about 4 million parameters, for CPUs and for the checkpoint that comes with the package.
 * - `mdetr-g-minilm-tiny`: the same with the published MiniLM as text encoder, for words that training does not show.
 * - `mdetr-r101`, `mdetr-efficientnet-b3`, `-b5`: the published sizes of MDETR with ResNet-101 or an EfficientNet, and RoBERTa.
 * - `mdetr-g-upstream`, `-roberta`: MDETR-G as published, with Satlas' Swin V2.
 * - `grounding-dino-tiny`, `-base`, and `mm-` before them: the published sizes of Grounding DINO.
 * - `deformable-detr-r50`, `-single-scale`, `-single-scale-dc5`, `-refine`, `-two-stage`: the published sizes of Deformable DETR
 *   with ResNet-50, COCO's classes; `deformable-detr-coat-lite-small`, `-coat-small`, `-mpvit-small`: with other backbones.
 * - `scalemae-det`, `-base`: ScaleMAE-Det with ViT-L (as published) and ViT-B, xView's classes; `-upstream`: with the published
 *   code's faults; `vitdet`: with ViTDet's pyramid.
 */
export const PRESETS: Readonly<
  Record<'mdetr-g' | 'mdetr-g-tiny' | 'mdetr-g-minilm-tiny', MdetrGConfig> &
    Record<MdetrPresetName, MdetrConfig> &
    Record<MdetrGPresetName, MdetrGUpstreamConfig> &
    Record<GroundingDinoPresetName, GroundingDinoConfig> &
    Record<DetrPresetName, DeformableDetrConfig> &
    Record<ScaleMaeDetPresetName, ScaleMaeDetConfig>
> = {
  'mdetr-g': {
    ...COMMON,
    preset: 'mdetr-g',
    backbone: {
      name: 'swin',
      config: { embed_dim: 128, depths: [2, 2, 18, 2], num_heads: [4, 8, 16, 32], window_size: 7 },
    },
    text: {
      name: 'roberta',
      config: {
        vocab_size: 50265,
        hidden_size: 768,
        num_hidden_layers: 12,
        num_attention_heads: 12,
        intermediate_size: 3072,
        max_position_embeddings: 514,
      },
    },
    transformer: {
      dModel: 256,
      heads: 8,
      encoderLayers: 3,
      decoderLayers: 3,
      ffn: 2048,
      points: 4,
      queries: 100,
      head: 'soft-token',
      querySource: 'learned',
      fineLevels: 0,
      alignDim: 64,
      slots: 256,
      textToImage: true,
      imageToText: true,
    },
    imageSize: 704,
    threshold: 0.5,
  },
  'mdetr-g-tiny': TINY,
  'mdetr-g-minilm-tiny': {
    ...TINY,
    preset: 'mdetr-g-minilm-tiny',
    text: { name: 'minilm-l6', config: { add_pooling_layer: false }, weights: 'minilm' },
    // Without, words that training did not show are often taken for others.
    transformer: { ...TINY.transformer, textNoise: 0.5 },
    // It is less sure of new words.
    threshold: 0.2,
  },
  ...MDETR_PRESETS,
  ...MDETR_G_PRESETS,
  ...GROUNDING_DINO_PRESETS,
  ...DETR_PRESETS,
  ...SCALEMAE_DET_PRESETS,
};

export type PresetName = keyof typeof PRESETS;

/** Configuration of a preset. */
export type PresetConfig<N extends PresetName> = (typeof PRESETS)[N];

/** A copy of a preset's configuration. @throws UserError for a name that is not in the table */
export function preset<N extends PresetName>(name: N): PresetConfig<N>;
export function preset(name: string): ModelConfig;
export function preset(name: string): ModelConfig {
  const found = Object.hasOwn(PRESETS, name) ? (PRESETS as Record<string, ModelConfig>)[name] : undefined;
  if (!found) {
    const names = Object.keys(PRESETS);
    const near = didYouMean(name, names);
    throw new UserError(
      `There is no model preset "${name}".${near ? ` Did you mean "${near}"?` : ''} Presets: ${names.join(', ')}.`,
    );
  }
  return structuredClone(found);
}
