// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from './no_grad.js';

/** (H, W) of each feature map. */
export type SpatialShapes = readonly (readonly [height: number, width: number])[];

/**
 * Deformable attention in TensorFlow.js operations, differentiable as it stands: the meaning of the native op, what
 * other engines run, and what an export with standard operations contains. Arguments as in `msDeformAttn`.
 */
export function msDeformAttnPlain(
  value: tf.Tensor4D,
  spatialShapes: SpatialShapes,
  samplingLocations: tf.Tensor,
  attentionWeights: tf.Tensor5D,
): tf.Tensor3D {
  const [batch, length, heads, dim] = value.shape;
  const [, queries, , levels, points] = attentionWeights.shape;
  const rows = tf.reshape(value, [batch * length * heads, dim]) as tf.Tensor2D;
  const [x, y] = tf.unstack(samplingLocations, 5) as [tf.Tensor5D, tf.Tensor5D];
  const level = levelTables(spatialShapes);
  const across = pixelAxis(x, level.width);
  const down = pixelAxis(y, level.height);
  const weights = sampleWeights(across, down, attentionWeights);
  const base = rowBase(batch, length, heads, level.start);
  const corners = [down.low, down.high].flatMap((v) =>
    [across.low, across.high].map((u) => {
      const pixel = tf.add(tf.mul(v.index, level.widthInt), u.index);
      const row = tf.add(tf.mul(pixel, tf.scalar(heads, 'int32')), base);
      const picked = gatherRows(rows, tf.reshape(row, [-1])); // [N * Q * M * L * P, D]
      const weight = tf.mul(weights, tf.mul(u.weight, v.weight));
      return tf.matMul(
        tf.reshape(weight, [batch * queries * heads, 1, levels * points]),
        tf.reshape(picked, [batch * queries * heads, levels * points, dim]),
      );
    }),
  );
  const sum = tf.add(tf.add(corners[0]!, corners[1]!), tf.add(corners[2]!, corners[3]!));
  return tf.reshape(sum, [batch, queries, heads * dim]);
}

/** Sizes and first rows of the levels, shaped to go with `[N, Q, M, L, P]`. */
function levelTables(spatialShapes: SpatialShapes) {
  let start = 0;
  const starts = spatialShapes.map(([h, w]) => {
    const first = start;
    start += h * w;
    return first;
  });
  const shape = [1, 1, 1, spatialShapes.length, 1];
  const widths = spatialShapes.map(([, w]) => w);
  return {
    width: tf.tensor(widths, shape, 'float32'),
    widthInt: tf.tensor(widths, shape, 'int32'),
    height: tf.tensor(
      spatialShapes.map(([h]) => h),
      shape,
      'float32',
    ),
    start: tf.tensor(starts, shape, 'int32'),
  };
}

/** One of the two pixels beside a coordinate: its index moved into the map, its weight 0 where it lies outside. */
interface Side {
  index: tf.Tensor;
  weight: tf.Tensor;
}

interface PixelAxis {
  low: Side;
  high: Side;
  inside: tf.Tensor;
  isNumber: tf.Tensor;
}

/** Bilinear weights along one axis. @param location in [0, 1] @param size pixels of each level */
function pixelAxis(location: tf.Tensor, size: tf.Tensor): PixelAxis {
  const pixel = tf.sub(tf.mul(location, size), 0.5);
  const inside = noGrad(() => tf.logicalAnd(tf.greater(pixel, -1), tf.less(pixel, size)));
  const safe = tf.where(inside, pixel, tf.zerosLike(pixel));
  // Floor and the masks are constants to the gradient, which makes it the derivative to the right at whole pixels.
  const constants = noGrad(() => {
    const low = tf.floor(safe);
    const high = tf.add(low, 1);
    return {
      low,
      hasLow: tf.cast(tf.greaterEqual(low, 0), 'float32'),
      hasHigh: tf.cast(tf.less(high, size), 'float32'),
      lowIndex: tf.cast(tf.maximum(low, 0), 'int32'),
      highIndex: tf.cast(tf.minimum(high, tf.sub(size, 1)), 'int32'),
      isNumber: tf.logicalNot(tf.isNaN(location)),
    };
  });
  const fraction = tf.sub(safe, constants.low);
  return {
    low: { index: constants.lowIndex, weight: tf.mul(tf.sub(1, fraction), constants.hasLow) },
    high: { index: constants.highIndex, weight: tf.mul(fraction, constants.hasHigh) },
    inside,
    isNumber: constants.isNumber,
  };
}

/** Attention weights, 0 for samples outside; NaN where a location or weight is NaN. */
function sampleWeights(across: PixelAxis, down: PixelAxis, attentionWeights: tf.Tensor): tf.Tensor {
  const masks = noGrad(() => ({
    inside: tf.logicalAnd(across.inside, down.inside),
    isNumber: tf.logicalAnd(
      tf.logicalAnd(across.isNumber, down.isNumber),
      tf.logicalNot(tf.isNaN(attentionWeights)),
    ),
  }));
  const kept = tf.where(masks.inside, attentionWeights, tf.zerosLike(attentionWeights));
  return tf.where(masks.isNumber, kept, tf.fill(kept.shape, Number.NaN));
}

/** Row of `value` as a matrix at which a sample's map begins: batch item, level, head. `[N, 1, M, L, 1]` */
function rowBase(batch: number, length: number, heads: number, start: tf.Tensor): tf.Tensor {
  const item = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(length * heads, 'int32'));
  const head = tf.range(0, heads, 1, 'int32');
  const first = tf.add(tf.reshape(item, [batch, 1, 1, 1, 1]), tf.reshape(head, [1, 1, heads, 1, 1]));
  return tf.add(first, tf.mul(start, tf.scalar(heads, 'int32')));
}

/** `tf.gather` along the first axis with a gradient that every backend has and that is linear in the rows taken. */
function gatherRows(rows: tf.Tensor2D, indices: tf.Tensor1D): tf.Tensor2D {
  const gather = tf.customGrad((...args) => {
    const [matrix, save] = args as unknown as [tf.Tensor2D, (tensors: tf.Tensor[]) => void];
    save([indices]);
    return {
      value: tf.gather(matrix, indices),
      gradFunc: (dy: tf.Tensor, [saved]: tf.Tensor[]) =>
        tf.scatterND(tf.reshape(saved!, [-1, 1]), dy, rows.shape),
    };
  });
  return gather(rows) as tf.Tensor2D;
}
