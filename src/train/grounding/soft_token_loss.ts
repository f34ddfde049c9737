// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { DetectorOutput, PaddedTargets } from '../../models/types.js';
import { SetCriterion } from '../losses/index.js';
import type { TaskLoss } from '../task.js';

/** Weights of the losses. */
export const SOFT_TOKEN_WEIGHTS = { ce: 1, bbox: 5, giou: 2, contrastive_align: 1 };

/**
 * MDETR's losses; contrastive alignment where it has a weight.
 * @param weights by the name of the loss
 * @param auxWeight weight of the earlier decoder layers
 * @param maskPadding hides padded tokens, as MDETR-G does
 */
export function softTokenCriterion(
  weights: Readonly<Record<string, number>>,
  auxWeight: number,
  maskPadding = true,
): SetCriterion {
  return new SetCriterion({
    losses: [
      'soft_token',
      'boxes',
      ...('contrastive_align' in weights ? (['contrastive_align'] as const) : []),
    ],
    weights: Object.fromEntries(Object.entries(weights).map(([name, weight]) => [`loss_${name}`, weight])),
    auxWeight,
    maskPadding,
  });
}

/**
 * Loss of the soft-token head: soft-token prediction, boxes and contrastive alignment with learned temperature.
 * @param referred targets whose positive map has one slot a text token; it is widened to the head's slots here
 * @param textMask `[batch, tokens]`, 1 = real
 */
export function softTokenLoss(
  criterion: SetCriterion,
  output: DetectorOutput & { tau: tf.Scalar },
  referred: PaddedTargets,
  textMask: tf.Tensor2D,
): TaskLoss {
  const slots = output.pred_logits.shape[2];
  // The last slot means "no object"; tokens beyond the others have none, as in MDETR.
  const tokens = Math.min(referred.positiveMap.shape[2], slots - 1);
  const positiveMap = tf.pad(tf.slice(referred.positiveMap, [0, 0, 0], [-1, -1, tokens]), [
    [0, 0],
    [0, 0],
    [0, slots - tokens],
  ]) as tf.Tensor3D;
  const { total, parts } = criterion.compute(
    output,
    { ...referred, positiveMap },
    { tokenMask: textMask, temperature: output.tau, alignMap: referred.positiveMap },
  );
  return { total, parts };
}
