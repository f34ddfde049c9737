// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import type { DropPass } from './dropout.js';

/**
 * Features with noise of the normal distribution added in training, `level` times as strong as each feature vector is (root
 * mean square). What is learned from noisy features uses all the directions in which they differ, so that it holds for
 * vectors near to them too (Bishop 1995, training with noise as regularisation).
 *
 * @param features `[..., hidden]`
 * @throws Error without a stream to draw from
 */
export function noised<T extends tf.Tensor>(features: T, level: number, { training, random }: DropPass): T {
  if (!training || level === 0) return features;
  if (!random) throw new Error('[noised] expected a RandomStream for noise in training but received none');
  const noise = noGrad(() =>
    tf.tidy(() => {
      const strength = tf.mul(tf.sqrt(tf.mean(tf.square(features), -1, true)), level);
      return tf.mul(random.normal(features.shape), strength);
    }),
  );
  return tf.add(features, noise) as T;
}
