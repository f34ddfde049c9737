// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Module } from '../module.js';
import { Conv2d } from './basic.js';
import { withGradient } from './fused.js';
import { silu } from './silu.js';

/** Rows and columns of a map. */
const CELLS = [1, 2];

/**
 * Squeeze and excitation: every channel of a map is scaled by a number in (0, 1) that follows from the means of all channels.
 * Parameters `conv_reduce`, `conv_expand`.
 *
 * Source: Hu et al. 2018, "Squeeze-and-Excitation Networks".
 */
export class SqueezeExcite extends Module {
  private readonly reduce: Conv2d;
  private readonly expand: Conv2d;

  /** @param hidden channels between */
  constructor(channels: number, hidden: number) {
    super();
    this.reduce = this.child('conv_reduce', new Conv2d(channels, hidden, 1));
    this.expand = this.child('conv_expand', new Conv2d(hidden, channels, 1));
  }

  /** @param x `[batch, H, W, channels]` @returns the same shape */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const means = meanOfCells(x);
    return scaleChannels(x, tf.sigmoid(this.expand.forward(silu(this.reduce.forward(means)))));
  }
}

/** @returns `[batch, 1, 1, channels]` */
function meanOfCells(x: tf.Tensor4D): tf.Tensor4D {
  const [, height, width] = x.shape;
  const mean = withGradient(
    [x],
    () => tf.mean(x, CELLS, true),
    (dy) => [() => tf.tile(tf.mul(dy as tf.Tensor4D, 1 / (height * width)), [1, height, width, 1])],
  );
  return mean as tf.Tensor4D;
}

/** @param factors `[batch, 1, 1, channels]` */
function scaleChannels(x: tf.Tensor4D, factors: tf.Tensor4D): tf.Tensor4D {
  const y = withGradient(
    [x, factors],
    (save) => {
      save([x, factors]);
      return tf.mul(x, factors);
    },
    (dy, [$x, $factors]) => [() => tf.mul(dy, $factors!), () => tf.sum(tf.mul(dy, $x!), CELLS, true)],
  );
  return y as tf.Tensor4D;
}
