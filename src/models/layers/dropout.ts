// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad, type RandomStream } from '../../ops/index.js';

/**
 * `x` with a share `rate` of its values set to 0 and the others scaled up so that the mean stays.
 * Source: Srivastava et al. 2014.
 *
 * @param random draws the mask; null (evaluation) leaves `x` as it is
 */
export function dropout<T extends tf.Tensor>(x: T, rate: number, random: RandomStream | null): T {
  if (!(rate >= 0 && rate < 1)) {
    throw new RangeError(`[dropout] expected a rate in [0, 1) but received ${rate}`);
  }
  if (random === null || rate === 0) return x;
  return tf.mul(x, keptScale(x.shape, rate, random)) as T;
}

/** 0 with probability `rate`, else `1 / (1 - rate)`; a constant to the gradient. */
export function keptScale(shape: readonly number[], rate: number, random: RandomStream): tf.Tensor {
  return noGrad(() =>
    tf.tidy(() => {
      const kept = tf.cast(tf.greaterEqual(random.uniform(shape), rate), 'float32');
      return tf.mul(kept, 1 / (1 - rate));
    }),
  );
}

/** Where a pass through a network that drops things is, and where it draws from. */
export interface DropPass {
  training?: boolean;
  random?: RandomStream;
}

/**
 * Stochastic depth (Huang et al. 2016): in training a picture's branch is left out with probability `rate`, or scaled so
 * that its mean stays.
 *
 * @param rows `[batch * n, C]`, or with the batch first
 * @throws Error without a stream to draw from
 */
export function dropPath<T extends tf.Tensor>(rows: T, batch: number, rate: number, pass: DropPass): T {
  if (!pass.training || rate === 0) return rows;
  if (!pass.random) {
    throw new Error('[dropPath] expected a RandomStream for stochastic depth in training but received none');
  }
  const scale = keptScale([batch, 1], rate, pass.random);
  return tf.mul(rows.reshape([batch, -1]), scale).reshape(rows.shape) as T;
}
