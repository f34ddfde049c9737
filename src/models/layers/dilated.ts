// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * A convolution of stride 1 that keeps the size, with zeros around, as one that looks at every `rate`-th cell. The cells are
 * taken apart into `rate * rate` maps, which go through it as one batch: TensorFlow's gradients on CPUs know no dilation.
 * @param x `[batch, H, W, in]` @param convolve takes and gives maps of one size @returns `[batch, H, W, out]`
 */
export function dilated(
  x: tf.Tensor4D,
  rate: number,
  convolve: (x: tf.Tensor4D) => tf.Tensor4D,
): tf.Tensor4D {
  if (rate === 1) return convolve(x);
  const [, height, width] = x.shape;
  const missing = [height, width].map((size) => [0, (rate - (size % rate)) % rate]);
  const apart = tf.spaceToBatchND(x, [rate, rate], missing) as tf.Tensor4D;
  return tf.batchToSpaceND(convolve(apart), [rate, rate], missing) as tf.Tensor4D;
}
