// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { GroundingDino, GroundingDinoOutput } from '../../models/grounding_dino/index.js';
import type { PaddedTargets } from '../../models/types.js';
import { withGiven } from '../loss_weights.js';
import { SetCriterion } from '../losses/index.js';
import type { TaskLoss } from '../task.js';
import type { GroundingLosses, LossSettings } from './losses.js';

/** Weights of the losses; `proposals` is the share of those on what the encoder proposes. */
export const GROUNDING_DINO_WEIGHTS = { tokens: 1, bbox: 5, giou: 2, proposals: 1 };

/**
 * Grounding DINO's losses: focal loss on the words that name each matched box, L1 and generalised IoU, on every decoder
 * layer and on the chosen proposals. Source: Liu et al. 2023 (costs 2, 5, 2; weights 1, 5, 2). Departure from
 * transformers' loss, which compares untrained queries in place of the proposals.
 * @throws UserError for a weight of a loss that the model does not have
 */
export function groundingDinoLosses(model: GroundingDino, settings: LossSettings): GroundingLosses {
  const { tokens, bbox, giou, proposals } = withGiven(GROUNDING_DINO_WEIGHTS, settings.lossWeights);
  const criterion = new SetCriterion({
    losses: ['token_focal', 'boxes'],
    weights: { loss_ce: tokens, loss_bbox: bbox, loss_giou: giou },
    auxWeight: settings.auxWeight,
    matcher: { classCost: 'focal-token', class: 2, bbox: 5, giou: 2 },
  });
  return {
    targets: () => ({ spatialShapes: null, queries: model.options.queries, denseTokens: 0, denoising: null }),
    compute: (input, targets, random) => {
      const output = model.forward(input, input.wordMask, { training: true, random });
      return lossOf(criterion, output, targets.referred, input.textMask, proposals);
    },
  };
}

function lossOf(
  criterion: SetCriterion,
  output: GroundingDinoOutput,
  targets: PaddedTargets,
  tokenMask: tf.Tensor2D,
  proposals: number,
): TaskLoss {
  const { total, parts } = criterion.compute(output, targets, { tokenMask });
  if (proposals === 0) return { total, parts };
  const first = criterion.compute({ ...output.proposals, aux_outputs: [] }, targets, { tokenMask });
  const firstParts = Object.entries(first.parts).map(([key, value]) => [`${key}_enc`, value] as const);
  return {
    total: tf.add(total, tf.mul(first.total, proposals)) as tf.Scalar,
    parts: { ...parts, ...Object.fromEntries(firstParts) },
  };
}
