// SPDX-License-Identifier: Apache-2.0
import type { RunConfig } from '../config/schema.js';
import { withGiven } from '../loss_weights.js';
import { DetectionCriterion } from './criterion.js';

/** Weights of the losses of Deformable DETR (Zhu et al. 2021). */
export const DETECTION_WEIGHTS = { classes: 2, bbox: 5, giou: 2 } as const;

/** The losses that a run describes. @throws UserError for a weight of a loss that there is not */
export function buildDetectionLosses(
  settings: Pick<RunConfig, 'lossWeights' | 'auxWeight'>,
): DetectionCriterion {
  const weights = withGiven<Record<keyof typeof DETECTION_WEIGHTS, number>>(
    DETECTION_WEIGHTS,
    settings.lossWeights,
  );
  return new DetectionCriterion({
    weights: { loss_ce: weights.classes, loss_bbox: weights.bbox, loss_giou: weights.giou },
    auxWeight: settings.auxWeight,
  });
}
