// SPDX-License-Identifier: Apache-2.0
import type { MdetrConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';

export type MdetrPresetName = 'mdetr-r101';

/** Presets of MDETR by name: the published sizes (Kamath et al. 2021). */
export const MDETR_PRESETS: Readonly<Record<MdetrPresetName, MdetrConfig>> = {
  'mdetr-r101': {
    model_type: 'mdetr',
    preset: 'mdetr-r101',
    backbone: { name: 'resnet-101', config: { out_features: ['stage4'], frozen_stages: 2 } },
    text: { name: 'roberta-base', config: {} },
    transformer: {
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
    },
    preprocess: { ...IMAGENET, multiple: 32 },
    imageSize: 800,
    threshold: 0.5,
  },
};
