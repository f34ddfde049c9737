// SPDX-License-Identifier: Apache-2.0
import type { MdetrConfig, MdetrGUpstreamConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';

/** What both have. */
const COMMON = {
  preprocess: { ...IMAGENET, multiple: 32 },
  imageSize: 800,
  threshold: 0.5,
};

const TRANSFORMER: MdetrConfig['transformer'] = {
  dModel: 256,
  heads: 8,
  encoderLayers: 6,
  decoderLayers: 6,
  ffn: 2048,
  queries: 100,
  slots: 256,
  alignDim: 64,
  align: true,
  pooled: false,
};

export type MdetrPresetName = 'mdetr-r101' | 'mdetr-efficientnet-b3' | 'mdetr-efficientnet-b5';

const MDETR: Omit<MdetrConfig, 'preset' | 'backbone'> = {
  ...COMMON,
  model_type: 'mdetr',
  text: { name: 'roberta-base', config: {} },
  transformer: TRANSFORMER,
};

/** The frozen batch norms of MDETR add another constant than those that the networks were trained with. */
const LAST_MAP = { out_features: ['stage4'], batch_norm_eps: 1e-5 };

/** Presets of MDETR by name: the published sizes (Kamath et al. 2021). */
export const MDETR_PRESETS: Readonly<Record<MdetrPresetName, MdetrConfig>> = {
  'mdetr-r101': {
    ...MDETR,
    preset: 'mdetr-r101',
    backbone: { name: 'resnet-101', config: { out_features: ['stage4'], frozen_stages: 2 } },
  },
  'mdetr-efficientnet-b3': {
    ...MDETR,
    preset: 'mdetr-efficientnet-b3',
    backbone: { name: 'efficientnet-b3', config: LAST_MAP },
  },
  'mdetr-efficientnet-b5': {
    ...MDETR,
    preset: 'mdetr-efficientnet-b5',
    backbone: { name: 'efficientnet-b5', config: LAST_MAP },
  },
};

export type MdetrGPresetName = 'mdetr-g-upstream' | 'mdetr-g-upstream-roberta';

const UPSTREAM: Omit<MdetrGUpstreamConfig, 'preset' | 'text'> = {
  ...COMMON,
  model_type: 'mdetr-g-upstream',
  backbone: { name: 'swin-v2-base', config: { out_features: ['stage2', 'stage3', 'stage4'] } },
  transformer: {
    ...TRANSFORMER,
    encoderLayers: 3,
    decoderLayers: 3,
    kind: 'deformable',
    levels: 3,
    points: 4,
    textAttention: true,
    classScale: 'learnable',
    alignScale: 'learnable',
  },
};

/**
 * Presets of MDETR-G as published, with Satlas' backbone: the recipe of its repository, in which no box depends on the words, and
 * the same with words that are read in the decoder, by RoBERTa.
 */
export const MDETR_G_PRESETS: Readonly<Record<MdetrGPresetName, MdetrGUpstreamConfig>> = {
  'mdetr-g-upstream': {
    ...UPSTREAM,
    preset: 'mdetr-g-upstream',
    text: { name: 'minilm-l6', config: {} },
    transformer: { ...UPSTREAM.transformer, textAttention: false },
  },
  'mdetr-g-upstream-roberta': {
    ...UPSTREAM,
    preset: 'mdetr-g-upstream-roberta',
    text: { name: 'roberta-base', config: {} },
  },
};
