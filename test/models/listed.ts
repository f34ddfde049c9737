// SPDX-License-Identifier: Apache-2.0
import type { StoredTensor } from '../../src/models/weights/safetensors.js';

/** Names and shapes of a state dict. */
export type Listed = [name: string, shape: number[]][];

/** A layer's two tensors. */
export const both = (name: string, weight: number[], bias = [weight[0]!]): Listed => [
  [`${name}.weight`, weight],
  [`${name}.bias`, bias],
];

export const behind = (prefix: string, list: Listed): Listed =>
  list.map(([name, shape]) => [prefix + name, shape]);

/** Values by a formula: no two tensors alike. */
export function formula(list: Listed): Map<string, StoredTensor> {
  return new Map(
    list.map(([name, shape], tensor): [string, StoredTensor] => {
      const size = shape.reduce((product, n) => product * n, 1);
      if (name.endsWith('relative_position_index'))
        return [name, { dtype: 'I64', shape, data: new BigInt64Array(size) }];
      const data = Float32Array.from({ length: size }, (_, i) => 0.3 * Math.sin(1.7 * tensor + 0.37 * i));
      return [name, { dtype: 'F32', shape, data }];
    }),
  );
}
