// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** Largest difference between two lists of numbers, in units of the largest wanted value (at least 1); NaN must meet NaN. */
export function relativeError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let scale = 1;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    if (Number.isFinite(wanted[i]!)) scale = Math.max(scale, Math.abs(wanted[i]!));
  }
  for (let i = 0; i < wanted.length; i++) {
    if (Object.is(got[i], wanted[i]) || got[i] === wanted[i]) continue;
    const error = Math.abs(got[i]! - wanted[i]!) / scale;
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return worst;
}

/** Values of a tensor. */
export function valuesOf(tensor: tf.Tensor): Float32Array {
  return tensor.dataSync() as Float32Array;
}
