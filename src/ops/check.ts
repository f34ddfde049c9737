// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** The error of every wrong argument of an op: `[op] expected X for Y but received Z`. */
export function argumentError(op: string, expected: string, subject: string, received: string): Error {
  return new Error(`[${op}] expected ${expected} for ${subject} but received ${received}`);
}

/**
 * Throws unless `tensor` has the given type and shape.
 * @param layout names of the axes, as in `[N, S, M, D]`
 * @param shape sizes of the axes; null is any size of at least 1
 */
export function checkTensor(
  op: string,
  subject: string,
  tensor: tf.TensorInfo,
  dtype: tf.DataType,
  layout: string,
  shape: readonly (number | null)[],
): void {
  if (tensor.dtype !== dtype) throw argumentError(op, `type ${dtype}`, subject, tensor.dtype);
  const fits =
    tensor.shape.length === shape.length &&
    shape.every((size, i) => (size === null ? tensor.shape[i]! >= 1 : tensor.shape[i] === size));
  if (fits) return;
  const sizes = shape.some((size) => size !== null)
    ? ` = [${shape.map((size) => size ?? 'at least 1').join(', ')}]`
    : ' of at least 1 each';
  throw argumentError(op, `shape ${layout}${sizes}`, subject, `[${tensor.shape.join(', ')}]`);
}
