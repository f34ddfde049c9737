// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** `x * min(max(x + 3, 0), 6) / 6`. Source: Howard et al. 2019, "Searching for MobileNetV3". */
export function hardSwish<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(x, tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6))) as T;
}
