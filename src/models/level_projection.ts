// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../ops/index.js';
import type { LevelMemory, LevelSequence } from './deformable_encoder.js';
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
    const shapes = shapesOf(maps);
    const masks = shapes.map((shape) => (pixelMask ? resizeMask(pixelMask, shape) : null));
    const tokens = maps.map((map, i) => projected(map, this.linears[i]!, this.norms[i]!));
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

/**
 * Maps that only the decoder samples from, put before its memory: a linear map and a norm for each. Parameters `N.0`
 * (linear), `N.1` (norm).
 */
export class FineProjection extends Module {
  private readonly linears: Linear[] = [];
  private readonly norms: LayerNorm[] = [];

  constructor(channels: readonly number[], dModel: number) {
    super();
    channels.forEach((width, i) => {
      this.linears.push(this.child(`${i}.0`, new Linear(width, dModel)));
      this.norms.push(this.child(`${i}.1`, new LayerNorm(dModel)));
    });
  }

  /** @param maps NHWC maps, finest first @param pixelMask as in {@link LevelProjection} @returns both, finest first */
  before(maps: tf.Tensor4D[], pixelMask: tf.Tensor3D | null, memory: LevelMemory): LevelMemory {
    const shapes = shapesOf(maps);
    const tokens = maps.map((map, i) => projected(map, this.linears[i]!, this.norms[i]!));
    const masks = pixelMask ? shapes.map((shape) => resizeMask(pixelMask, shape)) : null;
    const flat = masks?.map((mask) => mask.reshape([mask.shape[0], -1]));
    const ratios = masks?.map((mask) => tf.expandDims(validRatio(mask), 1));
    return {
      tokens: tf.concat([...tokens, memory.tokens], 1) as tf.Tensor3D,
      spatialShapes: [...shapes, ...memory.spatialShapes],
      mask: flat && memory.mask ? (tf.concat([...flat, memory.mask], 1) as tf.Tensor2D) : null,
      validRatios:
        ratios && memory.validRatios ? (tf.concat([...ratios, memory.validRatios], 1) as tf.Tensor3D) : null,
    };
  }
}

function shapesOf(maps: readonly tf.Tensor4D[]): [number, number][] {
  return maps.map((map) => [map.shape[1], map.shape[2]]);
}

/** `[batch, H * W, dModel]` */
function projected(map: tf.Tensor4D, linear: Linear, norm: LayerNorm): tf.Tensor {
  const [batch, h, w, c] = map.shape;
  return norm.forward(linear.forward(map.reshape([batch, h * w, c])));
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
