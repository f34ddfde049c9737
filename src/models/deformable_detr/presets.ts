// SPDX-License-Identifier: Apache-2.0
import type { DeformableDetrConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';
import { COCO_LABELS } from './coco_labels.js';

/** The published sizes (Zhu et al. 2021). */
const BASE: Omit<DeformableDetrConfig, 'preset' | 'transformer'> = {
  model_type: 'deformable-detr',
  backbone: { name: 'resnet-50', config: { frozen_stages: 2 } },
  preprocess: { ...IMAGENET, multiple: 32 },
  labels: [...COCO_LABELS],
  imageSize: 800,
  threshold: 0.3,
};

const TRANSFORMER: DeformableDetrConfig['transformer'] = {
  dModel: 256,
  encoderLayers: 6,
  encoderHeads: 8,
  encoderPoints: 4,
  encoderFfn: 1024,
  decoderLayers: 6,
  decoderHeads: 8,
  decoderPoints: 4,
  decoderFfn: 1024,
  levels: 4,
  queries: 300,
  boxRefine: false,
  twoStage: false,
  sharedClassHead: true,
};

const LAST_MAP = { out_features: ['stage4'], frozen_stages: 2 };

const REFINE = { ...TRANSFORMER, boxRefine: true, sharedClassHead: false };

export type DetrPresetName =
  | 'deformable-detr-r50'
  | 'deformable-detr-r50-single-scale'
  | 'deformable-detr-r50-single-scale-dc5'
  | 'deformable-detr-r50-refine'
  | 'deformable-detr-r50-two-stage'
  | 'deformable-detr-coat-lite-small'
  | 'deformable-detr-coat-small'
  | 'deformable-detr-mpvit-small';

/** Other backbones in the plain model, trained as a whole (Xu et al. 2021; Lee et al. 2022). */
const withBackbone = (preset: DetrPresetName, name: string): DeformableDetrConfig => ({
  ...BASE,
  preset,
  backbone: { name, config: {} },
  transformer: TRANSFORMER,
});

/** Presets of Deformable DETR by name. */
export const DETR_PRESETS: Readonly<Record<DetrPresetName, DeformableDetrConfig>> = {
  'deformable-detr-r50': { ...BASE, preset: 'deformable-detr-r50', transformer: TRANSFORMER },
  'deformable-detr-r50-single-scale': {
    ...BASE,
    preset: 'deformable-detr-r50-single-scale',
    backbone: { name: 'resnet-50', config: LAST_MAP },
    transformer: { ...TRANSFORMER, levels: 1 },
  },
  'deformable-detr-r50-single-scale-dc5': {
    ...BASE,
    preset: 'deformable-detr-r50-single-scale-dc5',
    backbone: { name: 'resnet-50', config: { ...LAST_MAP, dilation: true } },
    transformer: { ...TRANSFORMER, levels: 1 },
  },
  'deformable-detr-r50-refine': { ...BASE, preset: 'deformable-detr-r50-refine', transformer: REFINE },
  'deformable-detr-r50-two-stage': {
    ...BASE,
    preset: 'deformable-detr-r50-two-stage',
    transformer: { ...REFINE, twoStage: true },
  },
  'deformable-detr-coat-lite-small': withBackbone('deformable-detr-coat-lite-small', 'coat-lite-small'),
  'deformable-detr-coat-small': withBackbone('deformable-detr-coat-small', 'coat-small'),
  'deformable-detr-mpvit-small': withBackbone('deformable-detr-mpvit-small', 'mpvit-small'),
};
