// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Random } from '../../random.js';

/**
 * `x` with a share `rate` of its values set to 0 and the others scaled up so that the mean stays.
 * Source: Srivastava et al. 2014.
 *
 * @param random draws the mask; null (evaluation) leaves `x` as it is
 */
export function dropout<T extends tf.Tensor>(x: T, rate: number, random: Random | null): T {
  if (!(rate >= 0 && rate < 1)) {
    throw new RangeError(`[dropout] expected a rate in [0, 1) but received ${rate}`);
  }
  if (random === null || rate === 0) return x;
  const limit = rate * 2 ** 32;
  const kept = 1 / (1 - rate);
  const mask = Float32Array.from({ length: x.size }, () => (random.uint32() < limit ? 0 : kept));
  return tf.mul(x, tf.tensor(mask, x.shape)) as T;
}
