// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from './no_grad.js';

/** Splits 24 bits of significand into 8 and 16. */
const SPLITTER = 2 ** 16 + 1;
/** Beyond this the product with the splitter could overflow. */
const LARGEST = 2 ** 110;

/**
 * `x` with its values rounded to the nearest bfloat16, to even in the middle, and its gradient rounded likewise; the
 * tensor stays float32. Magnitudes above 2^110 stay as they are, and so do NaN and infinities.
 *
 * Rounds by Veltkamp's split (Dekker 1971, "A floating-point technique for extending the available precision"), which
 * needs nothing but sums and products.
 */
export function roundToBfloat16<T extends tf.Tensor>(x: T): T {
  const rounded = tf.customGrad((value) => ({
    value: round(value as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => round(dy),
  }));
  return rounded(x) as T;
}

function round(x: tf.Tensor): tf.Tensor {
  return noGrad(() =>
    tf.tidy(() => {
      const product = tf.mul(x, SPLITTER);
      const high = tf.add(product, tf.sub(x, product));
      return tf.where(tf.less(tf.abs(x), LARGEST), high, x);
    }),
  );
}
