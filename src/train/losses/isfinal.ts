// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import { gatherQueries, type LossContext, type LossValues, perLayer } from './context.js';

/**
 * MDETR's `loss_isfinal`, of every layer: whether a matched query is the object the question is about, as binary
 * cross-entropy; with `accuracy_isfinal`, the share of matched queries that are right (0 without any).
 *
 * Source: Kamath et al. 2021.
 */
export function lossIsfinal({ outputs, matching, numBoxes, extras }: LossContext): LossValues {
  if (!outputs.isfinal || !extras.isfinal) {
    throw new Error(
      '[isfinal] expected pred_isfinal of every layer in the outputs and isfinal in the targets but received none',
    );
  }
  const wanted = tf.expandDims(extras.isfinal, 1); // [batch, 1, targets]
  const logit = tf.squeeze(gatherQueries(outputs.isfinal, matching), [3]); // [batch, layers, targets]
  const { matched } = matching;
  const loss = tf.mul(tf.sub(tf.softplus(logit), tf.mul(logit, wanted)), matched);
  return {
    loss_isfinal: perLayer(loss, numBoxes),
    accuracy_isfinal: noGrad(() => {
      const right = tf.cast(tf.equal(tf.greater(logit, 0), tf.greater(wanted, 0.5)), 'float32');
      return tf.div(perLayer(tf.mul(right, matched)), tf.maximum(perLayer(matched), 1)) as tf.Tensor1D;
    }),
  };
}
