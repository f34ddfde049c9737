// SPDX-License-Identifier: Apache-2.0
import type { GroundingDinoConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';

/** Ids of BERT's [CLS], [SEP], full stop and question mark. */
export const BERT_DELIMITERS = [101, 102, 1012, 1029];

const TRANSFORMER: GroundingDinoConfig['transformer'] = {
  dModel: 256,
  encoderLayers: 6,
  encoderHeads: 8,
  encoderPoints: 4,
  encoderFfn: 2048,
  decoderLayers: 6,
  decoderHeads: 8,
  decoderPoints: 4,
  decoderFfn: 2048,
  levels: 4,
  queries: 900,
  textTokens: 256,
  logits: 'dot',
  sharedBoxHead: true,
  sharedClassHead: true,
  temperature: 20,
  fusionDropPath: 0.1,
  delimiters: BERT_DELIMITERS,
};

/** MM-Grounding-DINO: a box head and a bias for each decoder layer. */
const MM_TRANSFORMER: GroundingDinoConfig['transformer'] = {
  ...TRANSFORMER,
  logits: 'scaled',
  sharedBoxHead: false,
  sharedClassHead: false,
};

const BASE: Omit<GroundingDinoConfig, 'preset' | 'transformer' | 'backbone'> = {
  model_type: 'grounding-dino',
  text: { name: 'bert-base-uncased', config: { add_pooling_layer: false } },
  preprocess: { ...IMAGENET, multiple: 32 },
  imageSize: 800,
  threshold: 0.3,
};

const SWIN_TINY = { name: 'swin-tiny', config: {} };
/** Windows of 12 tokens, as pre-trained at 384 pixels. */
const SWIN_BASE = { name: 'swin-base', config: { window_size: 12 } };

export type GroundingDinoPresetName =
  | 'grounding-dino-tiny'
  | 'grounding-dino-base'
  | 'mm-grounding-dino-tiny'
  | 'mm-grounding-dino-base';

/** Presets of Grounding DINO by name: the published sizes (Liu et al. 2023; Zhao et al. 2024). */
export const GROUNDING_DINO_PRESETS: Readonly<Record<GroundingDinoPresetName, GroundingDinoConfig>> = {
  'grounding-dino-tiny': {
    ...BASE,
    preset: 'grounding-dino-tiny',
    backbone: SWIN_TINY,
    transformer: TRANSFORMER,
  },
  'grounding-dino-base': {
    ...BASE,
    preset: 'grounding-dino-base',
    backbone: SWIN_BASE,
    transformer: TRANSFORMER,
  },
  'mm-grounding-dino-tiny': {
    ...BASE,
    preset: 'mm-grounding-dino-tiny',
    backbone: SWIN_TINY,
    transformer: MM_TRANSFORMER,
  },
  'mm-grounding-dino-base': {
    ...BASE,
    preset: 'mm-grounding-dino-base',
    backbone: SWIN_BASE,
    transformer: MM_TRANSFORMER,
  },
};
