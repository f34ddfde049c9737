// SPDX-License-Identifier: Apache-2.0
import type { StoredTensor, TensorData } from '../../src/models/weights/safetensors.js';
import type { Comparison } from './types.js';

/** Values with their shape, as the library gave them. */
export interface Got {
  shape: readonly number[];
  data: ArrayLike<number>;
}

/** Dtypes whose values must be equal. */
const EXACT = /^(I|U|BOOL)/;

/**
 * Largest difference between what came out and what is stored. Infinities must have the same sign in the same places,
 * and a NaN where none is stored (or the reverse) is an infinite error, as is another shape.
 *
 * @param tol from the manifest; where it has none, integers must be equal and floats agree to 3e-6 of the largest
 * @param mask where to compare: same number of values, 0 = skip
 */
export function compareTensor(
  tensor: string,
  got: Got,
  stored: StoredTensor,
  tol: number | undefined,
  mask?: ArrayLike<number | bigint>,
): Comparison {
  const allowed = tol ?? defaultTolerance(stored);
  if (got.shape.join() !== stored.shape.join()) {
    const note = `shape [${got.shape}] instead of [${stored.shape}]`;
    return { tensor, error: Number.POSITIVE_INFINITY, tol: allowed, note };
  }
  let error = 0;
  for (let i = 0; i < stored.data.length; i++) {
    if (mask && Number(mask[i]) === 0) continue;
    error = Math.max(error, difference(got.data[i]!, Number(stored.data[i])));
  }
  return { tensor, error, tol: allowed };
}

function difference(got: number, stored: number): number {
  if (Object.is(got, stored) || got === stored) return 0;
  const apart = Math.abs(got - stored);
  return Number.isFinite(apart) ? apart : Number.POSITIVE_INFINITY;
}

function defaultTolerance(stored: StoredTensor): number {
  if (EXACT.test(stored.dtype)) return 0;
  return Math.max(3e-6 * largestFinite(stored.data), 1e-7);
}

function largestFinite(data: TensorData): number {
  let largest = 0;
  for (const value of data) {
    const size = Math.abs(Number(value));
    if (Number.isFinite(size) && size > largest) largest = size;
  }
  return largest;
}

/** Error in units of the tolerance; what need be exact is 0 or infinite. */
export function ratio({ error, tol }: Comparison): number {
  if (error === 0) return 0;
  return tol > 0 ? error / tol : Number.POSITIVE_INFINITY;
}

/** Whether a comparison is within its tolerance. NaN never is. */
export function within(comparison: Comparison): boolean {
  return comparison.error <= comparison.tol;
}
