// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

export interface SineOptions {
  /** Base of the wave lengths. */
  temperature?: number;
  /** Subtracted from the running count before it is normalised: 0.5 in Deformable DETR, 0 in DETR and MDETR. */
  offset?: number;
}

/**
 * Sine position embedding of a map, rows first: `[batch, H, W, 2 * features]`.
 * Positions are running counts of real pixels, divided by their total and multiplied by 2 pi; sine and cosine
 * alternate along the channels. Source: Carion et al. 2020; the half-pixel offset is Deformable DETR's.
 * @param mask `[batch, H, W]`, 1 = real
 * @param features channels for each of y and x; even
 */
export function sinePosition(mask: tf.Tensor3D, features: number, options: SineOptions = {}): tf.Tensor4D {
  const { temperature = 10000, offset = 0 } = options;
  return tf.tidy(() => {
    const along = (axis: 1 | 2) => {
      const count = tf.cumsum(mask, axis);
      const last = tf.slice(count, axis === 1 ? [0, mask.shape[1] - 1, 0] : [0, 0, mask.shape[2] - 1], [
        -1,
        axis === 1 ? 1 : -1,
        axis === 1 ? -1 : 1,
      ]);
      const normalised = tf.div(tf.sub(count, offset), tf.add(last, 1e-6));
      return sineWaves(tf.mul(normalised, 2 * Math.PI), features, temperature);
    };
    return tf.concat([along(1), along(2)], 3) as tf.Tensor4D;
  });
}

/**
 * {@link sinePosition} of the running counts as they are, neither divided nor multiplied: DETR's without `normalize`.
 * @param mask `[batch, H, W]`, 1 = real @param features channels for each of y and x; even
 */
export function sineCounts(mask: tf.Tensor3D, features: number, temperature = 10000): tf.Tensor4D {
  return tf.tidy(() => {
    const waves = ([1, 2] as const).map((axis) => sineWaves(tf.cumsum(mask, axis), features, temperature));
    return tf.concat(waves, 3) as tf.Tensor4D;
  });
}

/**
 * {@link sinePosition} of a map without padding, put together from its rows and columns: `[1, H, W, 2 * features]`.
 */
export function sineGrid(
  [height, width]: readonly [number, number],
  features: number,
  options: SineOptions = {},
): tf.Tensor4D {
  const { temperature = 10000, offset = 0 } = options;
  return tf.tidy(() => {
    const along = (count: number) => {
      const places = Float32Array.from(
        { length: count },
        (_, i) => ((i + 1 - offset) / (count + 1e-6)) * 2 * Math.PI,
      );
      return sineWaves(tf.tensor1d(places), features, temperature);
    };
    const rows = tf.reshape(along(height), [1, height, 1, features]);
    const columns = tf.reshape(along(width), [1, 1, width, features]);
    return tf.concat(
      [tf.tile(rows, [1, 1, width, 1]), tf.tile(columns, [1, height, 1, 1])],
      3,
    ) as tf.Tensor4D;
  });
}

/**
 * Sine embedding of each coordinate of boxes: `[..., n]` in [0, 1] -> `[..., n * features]`.
 * Coordinates keep their order; each is multiplied by 2 pi. Source: Deformable DETR's proposal embedding.
 */
export function sineCoordinates(coordinates: tf.Tensor, features: number, temperature = 10000): tf.Tensor {
  const waves = sineWaves(tf.mul(coordinates, 2 * Math.PI), features, temperature);
  return waves.reshape([...coordinates.shape.slice(0, -1), coordinates.shape.at(-1)! * features]);
}

/** `[...]` -> `[..., features]`: sine and cosine of `x / temperature^(2i / features)`, alternating. */
function sineWaves(x: tf.Tensor, features: number, temperature: number): tf.Tensor {
  const half = features / 2;
  const lengths = Float32Array.from({ length: half }, (_, i) => temperature ** ((2 * i) / features));
  // Padding has angles of millions, whose sines hang on the rounding: divided, they are the source's.
  const angles = tf.div(tf.expandDims(x, -1), tf.tensor1d(lengths)); // [..., half]
  return tf.stack([tf.sin(angles), tf.cos(angles)], -1).reshape([...x.shape, features]);
}

/** `log(x / (1 - x))` with x clamped to [0, 1] and both terms to at least `eps`. Source: Deformable DETR. */
export function inverseSigmoid(x: tf.Tensor, eps = 1e-5): tf.Tensor {
  const clipped = tf.clipByValue(x, 0, 1);
  return tf.sub(tf.log(tf.maximum(clipped, eps)), tf.log(tf.maximum(tf.sub(1, clipped), eps)));
}
