// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import type { LossContext, LossValues } from './context.js';

/**
 * MDETR's `loss_isfinal` on the last layer: whether a matched query is the object the question is about, as binary
 * cross-entropy; with `accuracy_isfinal`, the share of matched queries that are right (0 without any).
 *
 * Source: Kamath et al. 2021.
 */
export function lossIsfinal({ outputs, matching, numBoxes, extras }: LossContext): LossValues {
  if (!outputs.isfinal || !extras.isfinal) {
    throw new Error(
      '[isfinal] expected pred_isfinal in the outputs and isfinal in the targets but received none',
    );
  }
  const [batch, layers, queries] = outputs.logits.shape;
  const wanted = extras.isfinal;
  const count = wanted.shape[1];
  const last = (x: tf.Tensor3D): tf.Tensor2D =>
    tf.squeeze(tf.slice(x, [0, layers - 1, 0], [batch, 1, count]), [1]);
  const base = tf.tensor2d(
    Int32Array.from({ length: batch }, (_, i) => i * queries),
    [batch, 1],
    'int32',
  );
  const rows = noGrad(() => tf.add(tf.maximum(last(matching.queries), tf.scalar(0, 'int32')), base));
  const matched = last(matching.matched);
  const logit = tf.gather(tf.reshape(outputs.isfinal, [batch * queries]), rows); // [batch, targets]
  const loss = tf.mul(tf.sub(tf.softplus(logit), tf.mul(logit, wanted)), matched);
  return {
    loss_isfinal: tf.reshape(tf.div(tf.sum(loss), numBoxes), [1]),
    accuracy_isfinal: noGrad(() => {
      const right = tf.equal(tf.greater(logit, 0), tf.greater(wanted, 0.5));
      const share = tf.div(
        tf.sum(tf.mul(tf.cast(right, 'float32'), matched)),
        tf.maximum(tf.sum(matched), 1),
      );
      return tf.reshape(share, [1]) as tf.Tensor1D;
    }),
  };
}
