// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * Global contrastive loss between pictures and their captions: cross-entropy of the cosine similarities in a batch,
 * picture to text and text to picture, averaged.
 *
 * Source: Radford et al. 2021, as in MDETR. The length floor is PyTorch's `normalize`.
 * @param text `[batch, d]` pooled text @param image `[batch, d]` pooled picture @param temperature scalar divisor
 * @returns scalar
 */
export function lossContrastive(
  text: tf.Tensor2D,
  image: tf.Tensor2D,
  temperature: tf.Tensor | number,
): tf.Scalar {
  const similarity = tf.div(tf.matMul(unit(image), unit(text), false, true), temperature);
  const diagonal = tf.eye(text.shape[0]);
  const toText = tf.sum(tf.mul(tf.logSoftmax(similarity), diagonal));
  const toImage = tf.sum(tf.mul(tf.logSoftmax(tf.transpose(similarity)), diagonal));
  return tf.mul(tf.add(toText, toImage), -0.5 / text.shape[0]) as tf.Scalar;
}

/** Rows of length 1. */
function unit(x: tf.Tensor2D): tf.Tensor2D {
  return tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), 1e-12));
}
