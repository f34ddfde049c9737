// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * `x * min(max(x + 3, 0), 6) / 6`, written as `x * min(max(x / 6 + 1/2, 0), 1)`: the first form makes TensorFlow's optimizer
 * give up on the fusions of a graph. Source: Howard et al. 2019, "Searching for MobileNetV3".
 */
export function hardSwish<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(x, tf.clipByValue(tf.add(tf.mul(x, 1 / 6), 0.5), 0, 1))) as T;
}
