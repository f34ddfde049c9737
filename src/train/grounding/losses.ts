// SPDX-License-Identifier: Apache-2.0
import type { HeadKind, MdetrGOutput } from '../../models/mdetr_g.js';
import type { PreparedBatch } from '../../models/preprocess.js';
import type { RunConfig } from '../config/schema.js';
import { withGiven } from '../loss_weights.js';
import type { TaskLoss } from '../task.js';
import type { GroundingTargets, TargetOptions } from './batch.js';
import { groundingLoss, TOKEN_SIGMOID_WEIGHTS } from './criterion.js';
import { SOFT_TOKEN_WEIGHTS, softTokenCriterion, softTokenLoss } from './soft_token_loss.js';

/** Keys of a run that say what is learned and how much it counts. */
export type LossSettings = Pick<
  RunConfig,
  | 'lossWeights'
  | 'auxWeight'
  | 'denseWeight'
  | 'denseTokens'
  | 'denoisingWeight'
  | 'denoisingGroups'
  | 'denoisingNoise'
>;

/** What a head learns from: the targets it needs, and the loss on them. */
export interface GroundingLosses {
  targets: Pick<TargetOptions, 'denseTokens' | 'denoising'>;
  compute(output: MdetrGOutput, targets: GroundingTargets, input: LossInput): TaskLoss;
}

/** The tensors of a prepared batch. */
export type LossInput = Pick<PreparedBatch, 'pixels' | 'pixelMask' | 'inputIds' | 'textMask' | 'wordMask'>;

/** The losses of each head. */
const LOSSES: Readonly<Record<HeadKind, (settings: LossSettings) => GroundingLosses>> = {
  'token-sigmoid': tokenSigmoidLosses,
  'soft-token': softTokenLosses,
};

/**
 * The losses of a head.
 * @throws UserError for a weight of a loss that the head does not have
 */
export function buildLosses(head: HeadKind, settings: LossSettings): GroundingLosses {
  return LOSSES[head](settings);
}

function tokenSigmoidLosses(settings: LossSettings): GroundingLosses {
  const weights = {
    ...withGiven(TOKEN_SIGMOID_WEIGHTS, settings.lossWeights),
    aux: settings.auxWeight,
    dense: settings.denseWeight,
    denoising: settings.denoisingWeight,
  };
  const denoising = { groups: settings.denoisingGroups, noise: settings.denoisingNoise };
  return {
    targets: {
      denseTokens: settings.denseTokens,
      denoising: settings.denoisingWeight > 0 ? denoising : null,
    },
    compute: (output, targets, input) => groundingLoss(output, targets, input.wordMask, weights),
  };
}

/** MDETR's head has a "no object" slot and no use for noised boxes, and it proposes nothing. */
function softTokenLosses(settings: LossSettings): GroundingLosses {
  const weights = withGiven(SOFT_TOKEN_WEIGHTS, settings.lossWeights);
  const criterion = softTokenCriterion(weights, settings.auxWeight);
  return {
    targets: { denseTokens: settings.denseTokens, denoising: null },
    compute: (output, targets, input) => softTokenLoss(criterion, output, targets.referred, input.textMask),
  };
}
