// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * Sines and cosines of where each patch lies, in units that count metres per pixel: half of the channels for the column, half
 * for the row, each half its sines before its cosines. Source: Reed et al. 2023, "Scale-MAE: A Scale-Aware Masked Autoencoder
 * for Multiscale Geospatial Representation Learning" (whose code multiplies with the resolution as it is).
 *
 * @param grid rows and columns of patches
 * @param channels a multiple of 4
 * @param gsd metres per pixel: one number, or `[pictures]`
 * @returns `[1 or pictures, height, width, channels]`
 */
export function gsdPositions(
  [height, width]: readonly [number, number],
  channels: number,
  gsd: number | tf.Tensor1D,
): tf.Tensor4D {
  const quarter = channels / 4;
  const along = (count: number) => {
    const unit = typeof gsd === 'number' ? gsd : 1;
    const values = Float32Array.from(
      { length: count * quarter },
      (_, i) => Math.floor(i / quarter) * unit * 10000 ** (-(i % quarter) / quarter),
    );
    const angles = tf.tensor3d(values, [1, count, quarter]);
    const scaled = typeof gsd === 'number' ? angles : tf.mul(angles, tf.reshape(gsd, [-1, 1, 1]));
    return tf.concat([tf.sin(scaled), tf.cos(scaled)], 2); // [pictures, count, channels / 2]
  };
  return tf.tidy(() => {
    const columns = tf.tile(tf.expandDims(along(width), 1), [1, height, 1, 1]);
    const rows = tf.tile(tf.expandDims(along(height), 2), [1, 1, width, 1]);
    return tf.concat([columns, rows], 3) as tf.Tensor4D;
  });
}
