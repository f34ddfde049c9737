// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { SoftTokenDetector, SoftTokenOptions, SoftTokenOutput } from '../../models/mdetr/index.js';
import { withGiven } from '../loss_weights.js';
import { lossContrastive } from '../losses/index.js';
import type { TaskLoss } from '../task.js';
import type { GroundingLosses, LossSettings } from './losses.js';
import { SOFT_TOKEN_WEIGHTS, softTokenCriterion, softTokenLoss } from './soft_token_loss.js';

/** Weight of the comparison of pictures and texts as wholes, and its temperature. */
const CONTRASTIVE = { weight: 0.1, temperature: 0.07 };

/** Losses of MDETR (Kamath et al. 2021). @throws UserError for a weight of a loss that the model does not have */
export function mdetrLosses(
  model: SoftTokenDetector<SoftTokenOptions>,
  settings: LossSettings,
): GroundingLosses {
  return lossesOf(model, settings, false);
}

/** The same with MDETR-G's masking of padded tokens. */
export function mdetrGUpstreamLosses(
  model: SoftTokenDetector<SoftTokenOptions>,
  settings: LossSettings,
): GroundingLosses {
  return lossesOf(model, settings, true);
}

function lossesOf(
  model: SoftTokenDetector<SoftTokenOptions>,
  settings: LossSettings,
  maskPadding: boolean,
): GroundingLosses {
  const { align, pooled, queries } = model.options;
  const { contrastive_align, ...others } = SOFT_TOKEN_WEIGHTS;
  const defaults = {
    ...others,
    ...(align ? { contrastive_align } : {}),
    ...(pooled ? { contrastive: CONTRASTIVE.weight } : {}),
  };
  const weights: Readonly<Record<string, number>> = withGiven(defaults, settings.lossWeights);
  const criterion = softTokenCriterion(weights, settings.auxWeight, maskPadding);
  return {
    targets: () => ({ spatialShapes: null, queries, denseTokens: 0, denoising: null }),
    compute: (input, targets, random) => {
      const output = model.forward(input, input.wordMask, { training: true, random });
      const loss = softTokenLoss(criterion, output, targets.referred, input.textMask);
      return withPooled(loss, output, weights.contrastive ?? 0);
    },
  };
}

function withPooled({ total, parts }: TaskLoss, { pooled }: SoftTokenOutput, weight: number): TaskLoss {
  if (!pooled || weight === 0) return { total, parts };
  const loss = lossContrastive(pooled.text, pooled.image, CONTRASTIVE.temperature);
  return {
    total: tf.add(total, tf.mul(loss, weight)),
    parts: { ...parts, loss_contrastive: loss },
  };
}
