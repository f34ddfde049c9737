// SPDX-License-Identifier: Apache-2.0
import type { ScaleMaeDetConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';
import { XVIEW_LABELS } from './xview_labels.js';

const DETECTOR: ScaleMaeDetConfig['detector'] = {
  channels: 256,
  pyramid: 'scalemae',
  anchorSizes: [
    [16, 32, 64],
    [32, 64, 128],
    [64, 128, 256],
    [128, 256, 512],
  ],
  anchorRatios: [0.5, 1, 2],
  candidates: 1000,
  proposals: 1000,
  trainingCandidates: 2000,
  trainingProposals: 2000,
  hidden: 1024,
  leastScore: 0.05,
  detections: 100,
  parity: 'fixed',
};

const BASE: Omit<ScaleMaeDetConfig, 'preset' | 'detector' | 'backbone'> = {
  model_type: 'scalemae-det',
  labels: [...XVIEW_LABELS],
  preprocess: { ...IMAGENET, multiple: 32 },
  imageSize: 800,
  threshold: 0.5,
};

/** What the original takes every picture for, in metres per pixel. */
const DEFAULT_GSD = 0.3;

const backbone = (name: string) => ({ name, config: { class_token: false, default_gsd: DEFAULT_GSD } });

export type ScaleMaeDetPresetName = 'scalemae-det' | 'scalemae-det-base' | 'scalemae-det-upstream' | 'vitdet';

/** Presets of ScaleMAE-Det by name; the figure to reach is 0.236 mAP on xView. */
export const SCALEMAE_DET_PRESETS: Readonly<Record<ScaleMaeDetPresetName, ScaleMaeDetConfig>> = {
  'scalemae-det': {
    ...BASE,
    preset: 'scalemae-det',
    backbone: backbone('scalemae-large'),
    detector: DETECTOR,
  },
  'scalemae-det-base': {
    ...BASE,
    preset: 'scalemae-det-base',
    backbone: backbone('scalemae-base'),
    detector: DETECTOR,
  },
  'scalemae-det-upstream': {
    ...BASE,
    preset: 'scalemae-det-upstream',
    backbone: backbone('scalemae-large'),
    detector: {
      ...DETECTOR,
      anchorSizes: [
        [32, 64, 128],
        [64, 128, 256],
        [128, 256, 512],
        [128, 256, 512],
      ],
      parity: 'upstream',
    },
  },
  vitdet: {
    ...BASE,
    preset: 'vitdet',
    backbone: backbone('scalemae-large'),
    detector: { ...DETECTOR, pyramid: 'vitdet', anchorSizes: [[32], [64], [128], [256], [512]] },
  },
};
