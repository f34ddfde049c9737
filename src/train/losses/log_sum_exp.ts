// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * `log(sum(exp(x)))` along one axis, stable, with the softmax as gradient
 * (`tf.logSumExp` differentiates through its maximum instead: three times the work and no help).
 *
 * @param x `[...]` with finite values @returns x without `axis`
 */
export function logSumExp(x: tf.Tensor, axis: number): tf.Tensor {
  const op = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const largest = tf.max(input, axis, true);
    const exp = tf.exp(tf.sub(input, largest));
    const sum = tf.sum(exp, axis, true);
    const value = tf.squeeze(tf.add(tf.log(sum), largest), [axis]);
    save([exp, sum]);
    return {
      value,
      gradFunc: (dy, saved) => tf.mul(tf.div(tf.expandDims(dy, axis), saved[1]!), saved[0]!),
    };
  });
  return op(x);
}
