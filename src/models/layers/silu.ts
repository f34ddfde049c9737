// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { withGradient } from './fused.js';

/**
 * `x * sigmoid(x)`, also called swish, as one node of the tape that keeps `x` alone.
 * Source: Ramachandran et al. 2017, "Searching for Activation Functions".
 */
export function silu<T extends tf.Tensor>(x: T): T {
  const y = withGradient(
    [x],
    (save) => {
      save([x]);
      return tf.mul(x, tf.sigmoid(x));
    },
    (dy, [$x]) => [
      () => {
        const gate = tf.sigmoid($x!);
        return tf.mul(dy, tf.add(gate, tf.mul(tf.mul($x!, gate), tf.sub(1, gate))));
      },
    ],
  );
  return y as T;
}
