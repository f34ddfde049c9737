// SPDX-License-Identifier: Apache-2.0
import type { StoredTensor } from './safetensors.js';

/** How a file holds values that the module has in another order or shape; no bit is lost either way. */
export interface Arrangement {
  /** The file's shape for the module's (default: the same). */
  readonly shape?: (own: readonly number[]) => number[];
  /** Where the file has each place of the module's last axis, which has `size` of them (default: at the same). */
  readonly lastAxis?: (size: number) => readonly number[];
}

/** Shape in a file of a parameter whose values files of its own kind hold in `own`. */
export function shapeInFile(own: readonly number[], arrangement: Arrangement | undefined): number[] {
  return arrangement?.shape?.(own) ?? [...own];
}

/** A tensor of a file, as files of the module's own kind hold it: of shape `own`. */
export function fromArranged(
  stored: StoredTensor,
  own: readonly number[],
  { lastAxis }: Arrangement,
): StoredTensor {
  if (!lastAxis) return { ...stored, shape: [...own] };
  const order = lastAxis(own.at(-1)!);
  const data = stored.data.slice();
  for (let row = 0; row < data.length; row += order.length)
    order.forEach((at, i) => {
      data[row + i] = stored.data[row + at]!;
    });
  return { ...stored, shape: [...own], data };
}

/** The reverse of {@link fromArranged}. */
export function toArranged(stored: StoredTensor, arrangement: Arrangement): StoredTensor {
  const shape = shapeInFile(stored.shape, arrangement);
  if (!arrangement.lastAxis) return { ...stored, shape };
  const order = arrangement.lastAxis(stored.shape.at(-1)!);
  const data = stored.data.slice();
  for (let row = 0; row < data.length; row += order.length)
    order.forEach((at, i) => {
      data[row + at] = stored.data[row + i]!;
    });
  return { ...stored, shape, data };
}
