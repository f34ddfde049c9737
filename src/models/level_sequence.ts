// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../ops/index.js';
import type { LevelSequence } from './deformable_encoder.js';
import { type SineOptions, sineGrid, sinePosition } from './layers/position.js';
import { resizeMask, validRatio } from './level_projection.js';

/**
 * Feature maps as one sequence, with sine positions.
 * @param maps NHWC maps of one width, finest first
 * @param pixelMask `[batch, H, W]` of the picture, 1 = real, or null
 * @param levelEmbed `[levels, C]`, added to the positions, or null
 */
export function levelSequence(
  maps: readonly tf.Tensor4D[],
  pixelMask: tf.Tensor3D | null,
  levelEmbed: tf.Tensor | null,
  sine: SineOptions,
): LevelSequence {
  const shapes = maps.map((map) => [map.shape[1], map.shape[2]] as [number, number]);
  const masks = pixelMask ? shapes.map((shape) => resizeMask(pixelMask, shape)) : null;
  const channels = maps[0]!.shape[3];
  const positions = shapes.map(([h, w], i) => {
    const half = channels / 2;
    const waves = noGrad(() => (masks ? sinePosition(masks[i]!, half, sine) : sineGrid([h, w], half, sine)));
    const flat = waves.reshape([waves.shape[0], h * w, channels]);
    return levelEmbed ? tf.add(flat, tf.slice(levelEmbed, [i, 0], [1, -1])) : flat;
  });
  return {
    tokens: tf.concat(maps.map(flatten), 1) as tf.Tensor3D,
    position: tf.concat(positions, 1) as tf.Tensor3D,
    spatialShapes: shapes,
    mask: masks ? (tf.concat(masks.map(flatten), 1) as tf.Tensor2D) : null,
    validRatios: masks ? (tf.stack(masks.map(validRatio), 1) as tf.Tensor3D) : null,
  };
}

/** Rows and columns as one axis. */
function flatten(x: tf.Tensor): tf.Tensor {
  return x.reshape([x.shape[0]!, -1, ...x.shape.slice(3)]);
}
