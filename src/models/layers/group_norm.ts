// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Module } from '../module.js';
import { withGradient } from './fused.js';

/**
 * Group normalisation of tokens `[batch, S, C]`: mean and variance over all tokens of a picture and the channels of a
 * group. Parameters `weight`, `bias`. Source: Wu and He 2018.
 */
export class GroupNorm extends Module {
  private readonly weight: tf.Variable;
  private readonly bias: tf.Variable;

  constructor(
    private readonly groups: number,
    channels: number,
    private readonly eps = 1e-5,
  ) {
    super();
    if (channels % groups !== 0) {
      throw new RangeError(
        `[GroupNorm] expected channels divisible by groups but received ${channels}, ${groups}`,
      );
    }
    this.weight = this.parameter('weight', { shape: [channels], init: { kind: 'ones' } });
    this.bias = this.parameter('bias', { shape: [channels], init: { kind: 'zeros' } });
  }

  /** @param x `[batch, S, C]` @returns the same shape */
  forward(x: tf.Tensor3D): tf.Tensor3D {
    const { weight, bias, groups, eps } = this;
    const y = withGradient(
      [x, weight, bias],
      (save) =>
        tf.tidy(() => {
          const centred = tf.sub(x, groupMean(tf.mean(x, 1, true), groups));
          const variance = groupMean(tf.mean(tf.square(centred), 1, true), groups);
          const rstd = tf.rsqrt(tf.add(variance, eps)); // [batch, 1, C]
          const normal = tf.mul(centred, rstd);
          save([normal, rstd, weight]);
          return tf.add(tf.mul(normal, weight), bias);
        }),
      (dy, [normal, rstd, $weight]) => {
        const sums = tf.sum(dy, 1, true); // [batch, 1, C]
        const products = tf.sum(tf.mul(dy, normal!), 1, true);
        return [
          () => inputGradient(dy, normal!, rstd!, $weight!, groups, [sums, products]),
          () => tf.sum(products, [0, 1]),
          () => tf.sum(sums, [0, 1]),
        ];
      },
    );
    return y as tf.Tensor3D;
  }
}

/** `(g - mean(g) - n mean(g n)) / std` with g = dy * weight. */
function inputGradient(
  dy: tf.Tensor,
  normal: tf.Tensor,
  rstd: tf.Tensor,
  weight: tf.Tensor,
  groups: number,
  [sums, products]: [tf.Tensor, tf.Tensor],
): tf.Tensor {
  const mean = (sum: tf.Tensor) => groupMean(tf.div(tf.mul(sum, weight), dy.shape[1]!), groups);
  const centred = tf.sub(tf.mul(dy, weight), mean(sums));
  return tf.mul(tf.sub(centred, tf.mul(normal, mean(products))), rstd);
}

/** Each channel's value replaced by the mean of its group. @param x `[batch, 1, C]` */
function groupMean(x: tf.Tensor, groups: number): tf.Tensor {
  const [batch, , channels] = x.shape as [number, number, number];
  const size = channels / groups;
  const means = tf.mean(tf.reshape(x, [batch, groups, size]), 2, true);
  return tf.reshape(tf.tile(means, [1, 1, size]), [batch, 1, channels]);
}
