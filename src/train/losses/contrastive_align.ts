// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LossContext, LossExtras, LossValues } from './context.js';
import { gatherTargets, perLayer } from './context.js';
import { logSumExp } from './log_sum_exp.js';

/** Similarities of hidden padding: far below any real one, but finite. */
const HIDDEN = -1e9;

/**
 * MDETR's `loss_contrastive_align`: every matched query should be more similar to the tokens that name it than to the
 * others, and every token to its queries.
 *
 * Source: Kamath et al. 2021. `maskPadding` false leaves padding tokens among the negatives (MDETR), true hides them (MDETR-G).
 */
export function lossContrastiveAlign(
  context: LossContext,
  { maskPadding }: { maskPadding: boolean },
): LossValues {
  const { boxToToken, tokenToBox } = contrastiveAlignSums(context, { maskPadding });
  return { loss_contrastive_align: tf.div(tf.mul(tf.add(boxToToken, tokenToBox), 0.5), context.numBoxes) };
}

/** The loss's two sums, `[layers]` each, and the token map of the queries, `[batch, layers, queries, tokens]`. */
export function contrastiveAlignSums(
  { outputs, targets, matching, extras }: LossContext,
  { maskPadding }: { maskPadding: boolean },
): { boxToToken: tf.Tensor1D; tokenToBox: tf.Tensor1D; alignMap: tf.Tensor4D } {
  const { projQueries, projTokens } = outputs;
  if (!projQueries || !projTokens) {
    throw new Error(
      '[contrastive_align] expected proj_queries and proj_tokens in the outputs but received none',
    );
  }
  const [batch, layers, queries, width] = projQueries.shape;
  const tokens = projTokens.shape[1];
  const flat = tf.reshape(projQueries, [batch, layers * queries, width]);
  const products = tf.matMul(flat as tf.Tensor3D, projTokens, false, true);
  let similarity = tf.reshape(scaled(products, extras), [batch, layers, queries, tokens]);
  const map = extras.alignMap ?? fitTokens(targets.positiveMap, tokens);
  let positives = tf.cast(tf.greater(map, 0), 'float32') as tf.Tensor3D;
  if (maskPadding && extras.tokenMask) {
    const mask = tf.reshape(extras.tokenMask, [batch, 1, 1, tokens]);
    similarity = tf.add(tf.mul(similarity, mask), tf.mul(tf.sub(1, mask), HIDDEN));
    positives = tf.mul(positives, tf.reshape(mask, [batch, 1, tokens]));
  }
  const alignMap = gatherTargets(positives, tf.zeros([1, tokens]), matching);
  return {
    boxToToken: oneWay(similarity, alignMap, 3),
    tokenToBox: oneWay(similarity, alignMap, 2),
    alignMap,
  };
}

/** Sum over rows with positives of: log-sum-exp of all similarities less the mean of the positive ones. */
function oneWay(similarity: tf.Tensor, positives: tf.Tensor, axis: number): tf.Tensor1D {
  const count = tf.sum(positives, axis);
  const attraction = tf.div(tf.sum(tf.mul(similarity, positives), axis), tf.add(count, 1e-6));
  const any = tf.cast(tf.greater(count, 0), 'float32');
  return perLayer(tf.mul(tf.sub(logSumExp(similarity, axis), attraction), any));
}

function scaled(similarity: tf.Tensor, { temperature, logitScale }: LossExtras): tf.Tensor {
  if (logitScale) return tf.mul(similarity, tf.minimum(tf.exp(logitScale), 100));
  return temperature === undefined ? similarity : tf.div(similarity, temperature);
}

/** The first `tokens` slots of a positive map, with zeros behind where it has fewer. */
function fitTokens(map: tf.Tensor3D, tokens: number): tf.Tensor3D {
  const [batch, targets, slots] = map.shape;
  if (slots >= tokens) return tf.slice(map, [0, 0, 0], [batch, targets, tokens]);
  return tf.pad(map, [
    [0, 0],
    [0, 0],
    [0, tokens - slots],
  ]);
}
