// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../ops/index.js';
import type { LevelSequence } from './deformable_encoder.js';
import { LayerNorm, Linear } from './layers/basic.js';
import { sinePosition } from './layers/position.js';
import { Module } from './module.js';

/**
 * Backbone maps to one sequence of tokens: a linear map and a norm for each level, sine positions and a learned level
 * embedding. Parameters `N.0` (linear), `N.1` (norm), `level_embed`. Source: Deformable DETR, with layer norm for group norm.
 */
export class LevelProjection extends Module {
  private readonly linears: Linear[] = [];
  private readonly norms: LayerNorm[] = [];
  private readonly levelEmbed: tf.Variable;

  constructor(
    channels: readonly number[],
    private readonly dModel: number,
  ) {
    super();
    channels.forEach((width, i) => {
      this.linears.push(this.child(`${i}.0`, new Linear(width, dModel)));
      this.norms.push(this.child(`${i}.1`, new LayerNorm(dModel)));
    });
    this.levelEmbed = this.parameter('level_embed', {
      shape: [channels.length, dModel],
      init: { kind: 'normal', std: 1 },
    });
  }

  /**
   * @param maps NHWC maps, finest first
   * @param pixelMask `[batch, H, W]` of the picture, 1 = real, or null
   */
  forward(maps: tf.Tensor4D[], pixelMask: tf.Tensor3D | null): LevelSequence {
    const shapes = maps.map((map) => [map.shape[1], map.shape[2]] as [number, number]);
    const masks = shapes.map((shape) => (pixelMask ? resizeMask(pixelMask, shape) : null));
    const tokens = maps.map((map, i) => {
      const [batch, h, w, c] = map.shape;
      return this.norms[i]!.forward(this.linears[i]!.forward(map.reshape([batch, h * w, c])));
    });
    const positions = shapes.map(([h, w], i) => {
      const mask = masks[i] ?? tf.ones([1, h, w]);
      const sine = noGrad(() => sinePosition(mask as tf.Tensor3D, this.dModel / 2, { offset: 0.5 }));
      const level = tf.slice(this.levelEmbed, [i, 0], [1, -1]);
      return tf.add(sine.reshape([sine.shape[0], h * w, this.dModel]), level);
    });
    const flatMasks = masks.map((mask) => mask?.reshape([mask.shape[0], -1]) ?? null);
    return {
      tokens: tf.concat(tokens, 1) as tf.Tensor3D,
      position: tf.concat(positions, 1) as tf.Tensor3D,
      spatialShapes: shapes,
      mask: pixelMask ? (tf.concat(flatMasks as tf.Tensor[], 1) as tf.Tensor2D) : null,
      validRatios: pixelMask ? (tf.stack((masks as tf.Tensor3D[]).map(validRatio), 1) as tf.Tensor3D) : null,
    };
  }
}

/** Nearest neighbour, as the reference resizes padding masks. */
export function resizeMask(mask: tf.Tensor3D, [h, w]: [number, number]): tf.Tensor3D {
  return tf.squeeze(tf.image.resizeNearestNeighbor(tf.expandDims(mask, 3) as tf.Tensor4D, [h, w]), [3]);
}

/** Share of real (columns, rows), counted in the first row and column: `[batch, 2]`, (width, height). */
export function validRatio(mask: tf.Tensor3D): tf.Tensor2D {
  const width = tf.mean(tf.squeeze(tf.slice(mask, [0, 0, 0], [-1, 1, -1]), [1]), -1);
  const height = tf.mean(tf.squeeze(tf.slice(mask, [0, 0, 0], [-1, -1, 1]), [2]), -1);
  return tf.stack([width, height], -1) as tf.Tensor2D;
}
