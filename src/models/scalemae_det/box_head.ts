// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad, type RoiAlignOptions, type RoiMap, roiAlign } from '../../ops/index.js';
import { Linear } from '../layers/basic.js';
import { Module } from '../module.js';

/** Cells along each side of what is read for a box. */
const GRID = 7;
/** A box with sides of so many pixels belongs to the map of stride 16. */
const CANONICAL = 224;

/** What the head says of every box. */
export interface BoxOutput {
  /** `[batch, boxes, slots]`; slot 0 is the background. */
  classLogits: tf.Tensor3D;
  /** `[batch, boxes, slots, 4]` */
  deltas: tf.Tensor4D;
}

/**
 * The map that each box is read from: the larger, the coarser. Source: Lin et al. 2017, "Feature Pyramid Networks", eq. 1.
 * @param boxes `[batch, N, 4]` @param strides of the maps from fine to coarse @returns int32 `[batch, N]`
 */
export function mapOfBoxes(boxes: tf.Tensor3D, strides: readonly number[]): tf.Tensor2D {
  return noGrad(() => {
    const [low, high] = tf.split(boxes, 2, 2) as [tf.Tensor, tf.Tensor];
    const [width, height] = tf.unstack(tf.sub(high, low), 2) as [tf.Tensor, tf.Tensor];
    const area = tf.mul(width, height);
    const finest = Math.log2(strides[0]!);
    // Logarithm to the base 2 of the side, as a number of a map.
    const side = tf.mul(tf.log(tf.maximum(area, 1e-12)), 0.5 / Math.LN2);
    const level = tf.floor(tf.add(side, 4 - Math.log2(CANONICAL) + 1e-6));
    const bounded = tf.clipByValue(tf.sub(level, finest), 0, strides.length - 1);
    return tf.cast(bounded, 'int32') as tf.Tensor2D;
  });
}

/**
 * What lies in each box, `[batch, N, 7, 7, C]`.
 * @param maps `[batch, h, w, C]` each, with `strides` @param level int32 `[batch, N]`
 */
export function readBoxes(
  maps: readonly tf.Tensor4D[],
  strides: readonly number[],
  boxes: tf.Tensor3D,
  level: tf.Tensor2D,
  options: RoiAlignOptions = {},
): tf.Tensor5D {
  const [batch, , , channels] = maps[0]!.shape;
  const sizes: RoiMap[] = maps.map(({ shape: [, height, width] }, i) => ({
    height,
    width,
    scale: 1 / strides[i]!,
  }));
  const flat = maps.map((map) => tf.reshape(map, [batch, map.shape[1] * map.shape[2], channels]));
  return roiAlign(tf.concat(flat, 1) as tf.Tensor3D, sizes, boxes, level, { grid: [GRID, GRID], ...options });
}

/**
 * Tells the class of what lies in a box, and a better box for each class: `box_head.fc6`, `.fc7`,
 * `box_predictor.cls_score`, `.bbox_pred`. Source: Ren et al. 2015, "Faster R-CNN"; names as in torchvision.
 */
export class BoxHead extends Module {
  private readonly first: Linear;
  private readonly second: Linear;
  private readonly classes: Linear;
  private readonly boxes: Linear;

  constructor(
    private readonly channels: number,
    hidden: number,
    private readonly slots: number,
  ) {
    super();
    this.first = this.child('box_head.fc6', new Linear(channels * GRID * GRID, hidden));
    this.second = this.child('box_head.fc7', new Linear(hidden, hidden));
    this.classes = this.child('box_predictor.cls_score', new Linear(hidden, slots));
    this.boxes = this.child('box_predictor.bbox_pred', new Linear(hidden, 4 * slots));
  }

  /** @param cells `[batch, N, 7, 7, C]` */
  forward(cells: tf.Tensor5D): BoxOutput {
    const [batch, count] = cells.shape;
    const rows = tf.reshape(cells, [batch * count, GRID * GRID, this.channels]);
    // The reference counts a channel's cells before the next channel.
    const flat = tf.reshape(tf.transpose(rows, [0, 2, 1]), [batch * count, GRID * GRID * this.channels]);
    const inner = this.second.forward(this.first.forward(flat, 'relu'), 'relu');
    return {
      classLogits: tf.reshape(this.classes.forward(inner), [batch, count, this.slots]),
      deltas: tf.reshape(this.boxes.forward(inner), [batch, count, this.slots, 4]),
    };
  }
}
