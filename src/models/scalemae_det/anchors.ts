// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** A feature map. */
export interface MapSize {
  height: number;
  width: number;
  /** Pixels that a cell is away from the next. */
  stride: number;
}

/** Rounds halves to the even neighbour, as PyTorch does. */
function roundEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Anchors around (0, 0), whole pixels: for every ratio all sizes. */
function shapesOf(sizes: readonly number[], ratios: readonly number[]): number[][] {
  return ratios.flatMap((ratio) =>
    sizes.map((size) => {
      const height = Math.sqrt(ratio) * size;
      const width = size / Math.sqrt(ratio);
      return [-width / 2, -height / 2, width / 2, height / 2].map(roundEven);
    }),
  );
}

/**
 * Anchors of all maps, one map after the other, in each row by row, cell by cell.
 *
 * Source: Ren et al. 2015, "Faster R-CNN", as torchvision lays them: around the first corner of a cell, not its centre.
 * @param sizes sides of the anchors of each map, in pixels @param ratios height by width
 * @returns `[anchors, 4]` (x0, y0, x1, y1)
 */
export function layAnchors(
  maps: readonly MapSize[],
  sizes: readonly (readonly number[])[],
  ratios: readonly number[],
): tf.Tensor2D {
  const laid = maps.map(({ height, width, stride }, i) => {
    const along = (count: number) =>
      tf.tensor1d(Float32Array.from({ length: count }, (_, cell) => cell * stride));
    const x = tf.tile(tf.reshape(along(width), [1, width, 1]), [height, 1, 1]);
    const y = tf.tile(tf.reshape(along(height), [height, 1, 1]), [1, width, 1]);
    const corners = tf.reshape(tf.concat([x, y, x, y], 2), [height * width, 1, 4]);
    const shapes = tf.expandDims(tf.tensor2d(shapesOf(sizes[i]!, ratios)), 0);
    return tf.reshape(tf.add(corners, shapes), [-1, 4]);
  });
  return tf.concat(laid, 0) as tf.Tensor2D;
}
