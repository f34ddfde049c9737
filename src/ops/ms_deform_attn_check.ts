// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { argumentError, checkTensor } from './check.js';
import type { SpatialShapes } from './ms_deform_attn_plain.js';
import type { OpOptions } from './registry.js';

export interface MsDeformAttnOptions extends OpOptions {
  /**
   * What the maps are read as. `bfloat16` rounds `value` and the output to bfloat16, and their gradients too, which
   * halves the memory that is read; samples, sums and every tensor that goes in or comes out stay float32.
   */
  values?: 'float32' | 'bfloat16';
}

/** Sizes that the other arguments have to agree with. */
export interface ValueSizes {
  batch: number;
  heads: number;
  levels: number;
}

/** Checks the arguments that both forms of the op have. @throws Error naming the one that is wrong */
export function checkValue(
  op: string,
  value: tf.Tensor,
  spatialShapes: SpatialShapes,
  { values = 'float32' }: MsDeformAttnOptions,
): ValueSizes {
  if (values !== 'float32' && values !== 'bfloat16') {
    throw argumentError(op, "'float32' or 'bfloat16'", "option 'values'", `${values}`);
  }
  checkTensor(op, 'value', value, 'float32', '[N, S, M, D]', [null, null, null, null]);
  const [batch, length, heads] = value.shape as [number, number, number];
  let sum = 0;
  spatialShapes.forEach(([h, w], level) => {
    if (!(Number.isInteger(h) && Number.isInteger(w) && h >= 1 && w >= 1)) {
      const subject = `level ${level} of spatialShapes`;
      throw argumentError(op, 'whole (H, W) of at least 1', subject, `(${h}, ${w})`);
    }
    sum += h * w;
  });
  if (sum !== length) {
    const received = `${sum} from ${spatialShapes.map(([h, w]) => `${h}x${w}`).join(', ') || 'no level'}`;
    throw argumentError(op, `a sum of H * W = ${length}, the length of value,`, 'spatialShapes', received);
  }
  return { batch, heads, levels: spatialShapes.length };
}

/** Checks locations or offsets `[N, Q, M, L, P, 2]`; gives `Q` and `P`. */
export function checkPositions(
  op: string,
  subject: string,
  positions: tf.Tensor,
  { batch, heads, levels }: ValueSizes,
): { queries: number; points: number } {
  // A size of 0 is refused as one that is not at least 1.
  const queries = positions.shape[1] || null;
  const points = positions.shape[4] || null;
  const shape = [batch, queries, heads, levels, points, 2];
  checkTensor(op, subject, positions, 'float32', '[N, Q, M, L, P, 2]', shape);
  return { queries: queries!, points: points! };
}
