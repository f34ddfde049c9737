// SPDX-License-Identifier: Apache-2.0
import type { HeadKind, MdetrG, MdetrGOutput } from '../../models/mdetr_g.js';
import { withGiven } from '../loss_weights.js';
import type { TaskLoss } from '../task.js';
import type { GroundingTargets } from './batch.js';
import { groundingLoss, TOKEN_SIGMOID_WEIGHTS } from './criterion.js';
import type { GroundingLosses, LossInput, LossSettings, LossTargets } from './losses.js';
import { SOFT_TOKEN_WEIGHTS, softTokenCriterion, softTokenLoss } from './soft_token_loss.js';

/** What a head learns from: the targets it needs, and the loss on them. */
export interface HeadLosses {
  targets: Pick<LossTargets, 'denseTokens' | 'denoising'>;
  compute(output: MdetrGOutput, targets: GroundingTargets, input: LossInput): TaskLoss;
}

/** The losses of each head. */
const HEADS: Readonly<Record<HeadKind, (settings: LossSettings) => HeadLosses>> = {
  'token-sigmoid': tokenSigmoidLosses,
  'soft-token': softTokenLosses,
};

/**
 * The losses of a head.
 * @throws UserError for a weight of a loss that the head does not have
 */
export function buildHeadLosses(head: HeadKind, settings: LossSettings): HeadLosses {
  return HEADS[head](settings);
}

/** The losses of MDETR-G. */
export function mdetrGLosses(model: MdetrG, settings: LossSettings): GroundingLosses {
  const losses = buildHeadLosses(model.options.head, settings);
  return {
    targets: (width, height) => ({
      ...losses.targets,
      spatialShapes: model.spatialShapes(width, height),
      queries: model.options.queries,
    }),
    compute: (input, targets, random) => {
      const output = model.forward(input, input.wordMask, {
        training: true,
        random,
        denoising: targets.denoising?.queries ?? null,
        labels: targets.labels?.texts ?? null,
      });
      return losses.compute(output, targets, input);
    },
  };
}

function tokenSigmoidLosses(settings: LossSettings): HeadLosses {
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
function softTokenLosses(settings: LossSettings): HeadLosses {
  const weights = withGiven(SOFT_TOKEN_WEIGHTS, settings.lossWeights);
  const criterion = softTokenCriterion(weights, settings.auxWeight);
  return {
    targets: { denseTokens: settings.denseTokens, denoising: null },
    compute: (output, targets, input) => softTokenLoss(criterion, output, targets.referred, input.textMask),
  };
}
