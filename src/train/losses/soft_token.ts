// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LossContext, LossValues } from './context.js';
import { gatherTargets, perLayer } from './context.js';

/**
 * MDETR's soft-token loss `loss_ce`: cross-entropy between the softmax over token slots and the target's positive map.
 *
 * The last slot is "no object"; unmatched queries have to predict it and weigh `eosCoef`. A map of ones (what MDETR
 * trains with: batching makes its maps boolean) sums to the number of tokens, a soft map to 1; both are taken as they are.
 * Source: Kamath et al. 2021.
 */
export function lossSoftToken(
  { outputs, targets, matching, numBoxes }: LossContext,
  { eosCoef }: { eosCoef: number },
): LossValues {
  const slots = outputs.logits.shape[3];
  const noObject = tf.mul(tf.oneHot(tf.tensor1d([slots - 1], 'int32'), slots), eosCoef) as tf.Tensor2D;
  const wanted = gatherTargets(targets.positiveMap, noObject, matching);
  const likelihood = tf.mul(tf.logSoftmax(outputs.logits), wanted);
  return { loss_ce: tf.neg(perLayer(likelihood, numBoxes)) };
}
