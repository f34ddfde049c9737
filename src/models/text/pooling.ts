// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * One unit vector a sentence: the mean of its tokens' vectors, as sentence-transformers makes it (Reimers and Gurevych 2019).
 * @param hidden `[batch, tokens, C]` @param mask `[batch, tokens]`, 1 = real @returns `[batch, C]`
 */
export function sentenceEmbeddings(hidden: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor2D {
  const weights = tf.expandDims(tf.cast(mask, 'float32'), 2);
  const total = tf.sum(tf.mul(hidden, weights), 1);
  const mean = tf.div(total, tf.maximum(tf.sum(weights, 1), 1e-9));
  const length = tf.sqrt(tf.sum(tf.square(mean), 1, true));
  return tf.div(mean, tf.maximum(length, 1e-12)) as tf.Tensor2D;
}
