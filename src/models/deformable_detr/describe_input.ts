// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LevelSequence } from '../deformable_encoder.js';

/**
 * What goes into an encoder, by the names of the golden vectors: maps `feature.N`, masks `mask.N`, `encoder_input`,
 * `position_embeddings`, `mask`, `valid_ratios`, `spatial_shapes`.
 */
export function describeInput(maps: readonly tf.Tensor4D[], image: LevelSequence): Record<string, tf.Tensor> {
  const [batch, length] = image.tokens.shape;
  const levels = image.spatialShapes.length;
  const mask = image.mask ?? tf.ones([batch, length]);
  const values: Record<string, tf.Tensor> = {
    encoder_input: image.tokens,
    position_embeddings: image.position,
    mask,
    valid_ratios: image.validRatios ?? tf.ones([batch, levels, 2]),
    spatial_shapes: tf.tensor2d(image.spatialShapes, [levels, 2], 'int32'),
  };
  let at = 0;
  maps.slice(-levels).forEach((map, i) => {
    const [, h, w] = map.shape;
    values[`feature.${i}`] = map;
    values[`mask.${i}`] = tf.slice(mask, [0, at], [-1, h * w]).reshape([batch, h, w]);
    at += h * w;
  });
  return values;
}
