// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import type { LossContext, LossValues } from './context.js';

/**
 * How a query counts as an object: its best slot is not the last one, which is "no object" in softmax heads (DETR, MDETR
 * and, though its last class is a class, the first Deformable DETR), or its best slot passes 0.5 under the sigmoid.
 */
export type CardinalityRule = 'last-slot' | 'sigmoid';

/**
 * DETR's `cardinality_error`: by how many the predicted objects miss the number of targets, on average over the pictures.
 * Logged only. Source: Carion et al. 2020.
 */
export function cardinalityError(
  { outputs: { logits }, targets }: LossContext,
  { rule }: { rule: CardinalityRule },
): LossValues {
  return noGrad(() => {
    const last = tf.scalar(logits.shape[3] - 1, 'int32');
    const objects =
      rule === 'sigmoid' ? tf.greater(tf.max(logits, 3), 0) : tf.notEqual(tf.argMax(logits, 3), last);
    const predicted = tf.sum(tf.cast(objects, 'float32'), 2); // [batch, layers]
    const wanted = tf.sum(targets.mask, 1, true); // [batch, 1]
    return { cardinality_error: tf.mean(tf.abs(tf.sub(predicted, wanted)), 0) as tf.Tensor1D };
  });
}
