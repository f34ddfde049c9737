// SPDX-License-Identifier: Apache-2.0
import type { ClassDetectorConfig } from '../../models/config.js';
import type { RunConfig } from '../config/schema.js';
import { withGiven } from '../loss_weights.js';
import { DetectionCriterion } from './criterion.js';
import { REGION_WEIGHTS, RegionLosses } from './region_losses.js';

/** Weights of the losses of Deformable DETR (Zhu et al. 2021). */
export const DETECTION_WEIGHTS = { classes: 2, bbox: 5, giou: 2 } as const;

type Settings = Pick<RunConfig, 'lossWeights' | 'auxWeight'>;

/** How a detector of each type is taught. @throws UserError for a weight of a loss that there is not */
const LOSSES: Readonly<
  Record<ClassDetectorConfig['model_type'], (settings: Settings) => DetectionCriterion | RegionLosses>
> = {
  'deformable-detr': buildDetectionLosses,
  'scalemae-det': ({ lossWeights }) => new RegionLosses(withGiven(REGION_WEIGHTS, lossWeights)),
};

/** The losses that a run describes for a detector. @throws UserError for a weight of a loss that there is not */
export function buildClassLosses(
  { model_type }: Pick<ClassDetectorConfig, 'model_type'>,
  settings: Settings,
): DetectionCriterion | RegionLosses {
  return LOSSES[model_type](settings);
}

/** The losses of Deformable DETR that a run describes. @throws UserError for a weight of a loss that there is not */
export function buildDetectionLosses(settings: Settings): DetectionCriterion {
  const weights = withGiven<Record<keyof typeof DETECTION_WEIGHTS, number>>(
    DETECTION_WEIGHTS,
    settings.lossWeights,
  );
  return new DetectionCriterion({
    weights: { loss_ce: weights.classes, loss_bbox: weights.bbox, loss_giou: weights.giou },
    auxWeight: settings.auxWeight,
  });
}
