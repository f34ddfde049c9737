// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** A map that boxes are read from. */
export interface RoiMap {
  height: number;
  width: number;
  /** Cells that a unit of the boxes is. */
  scale: number;
}

export interface RoiAlignSettings {
  maps: readonly RoiMap[];
  /** Height and width of what each box gives (default 7 x 7). */
  grid: readonly [height: number, width: number];
  /** Samples along each side of a grid cell; 0 (default) = as many as it spans cells of the map, rounded up. */
  sampling: number;
  /** The centre of the first cell lies at half a cell, and boxes may be smaller than one (default false). */
  aligned: boolean;
  /** Boxes are at most this many times as long as the picture; only the plain form needs to know (default 2). */
  reach: number;
}

/** Values of a picture in the largest tensor inside: more boxes are taken piece by piece. */
const LARGEST = 2 ** 25;

/**
 * The meaning of the native op, in TensorFlow.js operations. Bilinear samples on a regular grid are products of a factor
 * for rows and one for columns: a box is a product with two matrices, whose zeros say what it does not touch.
 */
export function roiAlignPlain(
  value: tf.Tensor3D,
  boxes: tf.Tensor3D,
  level: tf.Tensor2D,
  settings: RoiAlignSettings,
): tf.Tensor5D {
  const [batch, , channels] = value.shape;
  const [height, width] = settings.grid;
  const count = boxes.shape[1];
  const widest = Math.max(...settings.maps.map((map) => map.width));
  const step = Math.max(1, Math.floor(LARGEST / (height * widest * channels)));
  const pieces = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as (tensors: tf.Tensor[]) => void;
    save([boxes, level]);
    const rows = (first: number) => Math.min(step, count - first);
    const take = (first: number, $boxes: tf.Tensor, $level: tf.Tensor) => [
      tf.slice($boxes, [0, first, 0], [batch, rows(first), 4]),
      tf.slice($level, [0, first], [batch, rows(first)]),
    ];
    const outputs = pieces.map((first) =>
      tf.tidy(() => forward(args[0] as tf.Tensor3D, take(first, boxes, level), settings)),
    );
    return {
      value: tf.concat(outputs, 1),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [$boxes, $level] = saved as [tf.Tensor, tf.Tensor];
        const gradients = pieces.map((first) =>
          tf.tidy(() => {
            const size = [batch, rows(first), height, width, channels];
            return backward(tf.slice(dy, [0, first, 0, 0, 0], size), take(first, $boxes, $level), settings);
          }),
        );
        return tf.addN(gradients);
      },
    };
  });
  return op(value) as tf.Tensor5D;
}

function forward(value: tf.Tensor3D, boxes: tf.Tensor[], settings: RoiAlignSettings): tf.Tensor {
  const [batch, , channels] = value.shape;
  const rows = boxes[0]!.shape[1]!;
  const [gridHeight, gridWidth] = settings.grid;
  let from = 0;
  const outputs = settings.maps.map(({ height, width }, i) => {
    const map = tf.slice(value, [0, from, 0], [batch, height * width, channels]);
    from += height * width;
    const [y, x] = weights(boxes, i, settings);
    const mixed = tf.matMul(
      tf.reshape(y, [batch, rows * gridHeight, height]),
      tf.reshape(map, [batch, height, width * channels]),
    );
    return tf.matMul(x, tf.reshape(mixed, [batch * rows * gridHeight, width, channels]));
  });
  return tf.reshape(tf.addN(outputs), [batch, rows, gridHeight, gridWidth, channels]);
}

function backward(dy: tf.Tensor, boxes: tf.Tensor[], settings: RoiAlignSettings): tf.Tensor {
  const [batch, rows, gridHeight, gridWidth, channels] = dy.shape as [number, number, number, number, number];
  const gradients = settings.maps.map(({ height, width }, i) => {
    const [y, x] = weights(boxes, i, settings);
    const upstream = tf.reshape(dy, [batch * rows * gridHeight, gridWidth, channels]);
    const mixed = tf.reshape(tf.matMul(x, upstream, true, false), [
      batch,
      rows * gridHeight,
      width * channels,
    ]);
    const map = tf.matMul(tf.reshape(y, [batch, rows * gridHeight, height]), mixed, true, false);
    return tf.reshape(map, [batch, height * width, channels]);
  });
  return tf.concat(gradients, 1);
}

/**
 * How much of each row and column of map `i` is in each row and column of the grid; 0 for boxes of other maps.
 * @returns `[batch, boxes, grid height, height]` and `[batch * boxes * grid height, grid width, width]`
 */
function weights([boxes, level]: tf.Tensor[], i: number, settings: RoiAlignSettings): [tf.Tensor, tf.Tensor] {
  const { height, width, scale } = settings.maps[i]!;
  const [batch, rows] = boxes!.shape as [number, number];
  const [gridHeight, gridWidth] = settings.grid;
  const [x0, y0, x1, y1] = tf.unstack(tf.mul(boxes!, scale), 2) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  const here = tf.equal(level!, i);
  // Boxes of other maps would make numbers of any size.
  const along = (low: tf.Tensor, high: tf.Tensor, parts: number, cells: number) =>
    axis(tf.where(here, low, 0), tf.where(here, high, 1), parts, cells, settings);
  const y = tf.mul(
    along(y0, y1, gridHeight, height),
    tf.cast(tf.reshape(here, [batch, rows, 1, 1]), 'float32'),
  );
  const x = along(x0, x1, gridWidth, width);
  const each = tf.tile(tf.expandDims(x, 2), [1, 1, gridHeight, 1, 1]);
  return [y, tf.reshape(each, [batch * rows * gridHeight, gridWidth, width])];
}

/** @param low `[batch, boxes]`, in cells @returns `[batch, boxes, parts, cells]` */
function axis(
  low: tf.Tensor,
  high: tf.Tensor,
  parts: number,
  cells: number,
  { sampling, aligned, reach }: RoiAlignSettings,
): tf.Tensor {
  const [batch, rows] = low.shape as [number, number];
  const column = (x: tf.Tensor) => tf.reshape(x, [batch, rows, 1, 1]);
  const begin = column(aligned ? tf.sub(low, 0.5) : low);
  const extent = column(tf.sub(high, low));
  const part = tf.div(aligned ? extent : tf.maximum(extent, 1), parts);
  const most = sampling > 0 ? sampling : Math.max(1, Math.ceil((reach * cells) / parts));
  const samples = sampling > 0 ? tf.onesLike(part).mul(sampling) : tf.ceil(part);
  const range = (count: number) => tf.tensor1d(Float32Array.from({ length: count }, (_, i) => i));
  const number = tf.reshape(range(most), [1, 1, 1, most]);
  const inPart = tf.div(tf.add(number, 0.5), tf.maximum(samples, 1));
  const first = tf.reshape(range(parts), [1, 1, parts, 1]);
  const at = tf.add(begin, tf.mul(tf.add(first, inPart), part)); // [batch, boxes, parts, most]
  const real = tf.logicalAnd(
    tf.logicalAnd(tf.greaterEqual(at, -1), tf.lessEqual(at, cells)),
    tf.less(number, samples),
  );
  const share = tf.mul(tf.cast(real, 'float32'), tf.div(1, tf.maximum(samples, 1)));
  const inside = tf.expandDims(tf.clipByValue(at, 0, cells - 1), 4);
  const near = tf.relu(tf.sub(1, tf.abs(tf.sub(inside, range(cells))))); // [..., most, cells]
  const mean = tf.matMul(
    tf.reshape(share, [batch * rows * parts, 1, most]),
    tf.reshape(near, [batch * rows * parts, most, cells]),
  );
  // 0, or NaN where the box is not finite.
  const fault = tf.mul(column(tf.add(low, high)), 0);
  return tf.add(tf.reshape(mean, [batch, rows, parts, cells]), fault);
}
