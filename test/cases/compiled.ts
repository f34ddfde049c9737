// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { BatchNorm } from '../../src/models/layers/batch_norm.js';
import { convolution } from '../../src/models/layers/convolution.js';
import { depthwiseConvolution } from '../../src/models/layers/depthwise.js';
import { linearRows } from '../../src/models/layers/fused.js';
import { hardSwish } from '../../src/models/layers/hard_swish.js';
import { resizeBilinear } from '../../src/models/layers/resize.js';
import { suppress } from '../../src/models/scalemae_det/index.js';
import {
  adamW,
  attention,
  detach,
  gelu,
  layerNorm,
  linearAssignment,
  msDeformAttn,
  msDeformAttnRaw,
  noGrad,
  RandomStream,
  roiAlign,
  type SpatialShapes,
  squaredNorm,
} from '../../src/ops/index.js';

// One row for each thing that the models are made of: what it takes and does. Compiled, and operation by operation, it
// must come to the same, values and gradients.

/** Numbers without pattern, with negatives, none of them 0. */
export function numbers(shape: readonly number[], seed: number): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const values = Float32Array.from(
    { length: size },
    (_, i) => 2 * Math.sin(1 + 12.9898 * (i + 31 * seed)) + 0.01,
  );
  return tf.tensor(values, [...shape]);
}

export type Inputs = tf.Tensor[];
export type CompiledCase = [name: string, shapes: number[][], fn: (...inputs: Inputs) => tf.Tensor];

const LEVELS: SpatialShapes = [
  [3, 4],
  [2, 2],
];
const COSTS = [2, 4, 3];

/** Made when the engine is there; its variables are of no case alone. */
const batchNorm = (() => {
  let made: BatchNorm | null = null;
  return () => {
    made ??= new BatchNorm(5);
    return made;
  };
})();

/** Differentiable in all their inputs. */
export const SMOOTH: readonly CompiledCase[] = [
  ['add, broadcast', [[2, 3], [3]], (a, b) => tf.add(a!, b!)],
  [
    'sub, mul, div',
    [
      [2, 3],
      [2, 1],
    ],
    (a, b) => tf.div(tf.mul(tf.sub(a!, b!), b!), tf.add(tf.square(b!), 1)),
  ],
  ['addN', [[3], [3]], (a, b) => tf.addN([a!, b!, a!])],
  ['neg, abs, square, sign', [[4]], (x) => tf.mul(tf.sign(x!), tf.square(tf.abs(tf.neg(x!))))],
  [
    'exp, log, sqrt, rsqrt, reciprocal',
    [[4]],
    (x) => {
      const positive = tf.add(tf.exp(x!), 0.5);
      return tf.add(
        tf.mul(tf.log(positive), tf.sqrt(positive)),
        tf.add(tf.rsqrt(positive), tf.reciprocal(positive)),
      );
    },
  ],
  [
    'pow, sin, cos, erf',
    [[4]],
    (x) => tf.add(tf.pow(tf.add(tf.square(x!), 1), 1.5), tf.mul(tf.sin(x!), tf.mul(tf.cos(x!), tf.erf(x!)))),
  ],
  [
    'sigmoid, tanh, softplus, relu',
    [[5]],
    (x) => tf.add(tf.mul(tf.sigmoid(x!), tf.tanh(x!)), tf.add(tf.softplus(x!), tf.relu(x!))),
  ],
  [
    'spaceToBatchND, batchToSpaceND',
    [[2, 3, 4, 2]],
    (x) => {
      const missing = [
        [0, 1],
        [0, 0],
      ];
      const apart = tf.spaceToBatchND(x as tf.Tensor4D, [2, 2], missing);
      return tf.batchToSpaceND(tf.cumsum(tf.square(apart), 1), [2, 2], missing);
    },
  ],
  ['softmax, logSoftmax', [[2, 5]], (x) => tf.mul(tf.softmax(x!), tf.logSoftmax(x!))],
  [
    'maximum, minimum, clipByValue',
    [[5], [5]],
    (a, b) => tf.add(tf.maximum(a!, b!), tf.mul(tf.minimum(a!, 0.5), tf.clipByValue(b!, -1, 1))),
  ],
  [
    'sum, mean, max, all axes and one',
    [[2, 3, 4]],
    (x) => tf.add(tf.mul(tf.sum(x!, 1), tf.mean(x!, 1)), tf.mul(tf.max(x!, 1), tf.mean(x!))),
  ],
  [
    'matMul, transposed',
    [
      [3, 4],
      [2, 4],
    ],
    (a, b) => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true),
  ],
  [
    'matMul of batches',
    [
      [2, 3, 4],
      [2, 4, 2],
    ],
    (a, b) => tf.matMul(a as tf.Tensor3D, b as tf.Tensor3D),
  ],
  [
    'reshape, transpose, expandDims, squeeze',
    [[2, 3, 4]],
    (x) => tf.squeeze(tf.expandDims(tf.transpose(tf.reshape(x!, [6, 4])), 1), [1]),
  ],
  [
    'concat, stack, split, unstack',
    [
      [2, 4],
      [2, 4],
    ],
    (a, b) => {
      const [left, right] = tf.split(tf.concat([a!, b!], 1), 2, 1) as [tf.Tensor, tf.Tensor];
      const [first, second] = tf.unstack(tf.stack([left, right], 1), 1) as [tf.Tensor, tf.Tensor];
      return tf.mul(first, tf.add(second, 1));
    },
  ],
  [
    'slice, pad, reverse',
    [[3, 4]],
    (x) =>
      tf.reverse(
        tf.pad(
          tf.slice(x!, [1, 0], [2, 3]),
          [
            [1, 0],
            [0, 2],
          ],
          0.5,
        ),
        1,
      ),
  ],
  ['tile, broadcastTo', [[2, 1, 3]], (x) => tf.mul(tf.tile(x!, [1, 4, 1]), tf.broadcastTo(x!, [2, 4, 3]))],
  [
    'where, by a computed condition',
    [[6], [6]],
    (a, b) =>
      tf.where(
        noGrad(() => tf.greater(a!, b!)),
        tf.mul(a!, 2),
        b!,
      ),
  ],
  ['cumsum', [[2, 5]], (x) => tf.cumsum(x!, 1)],
  ['clone, detach', [[3]], (x) => tf.mul(tf.clone(x!), detach(x!))],
  [
    'conv2d, maxPool',
    [
      [1, 6, 6, 2],
      [3, 3, 2, 4],
    ],
    (x, w) =>
      tf.maxPool(tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same') as tf.Tensor4D, 2, 2, 'valid'),
  ],
  [
    'conv2d of stride 2',
    [
      [2, 5, 5, 3],
      [3, 3, 3, 4],
    ],
    (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, 'valid'),
  ],
  [
    'gather by constants and by what was computed',
    [[5, 3]],
    (x) => {
      const best = noGrad(() => tf.topk(tf.sum(x!, 1), 2).indices) as tf.Tensor1D;
      return tf.add(tf.gather(x!, best), tf.gather(x!, tf.tensor1d([4, 4], 'int32')));
    },
  ],
  [
    'gather by batch',
    [[2, 5, 3]],
    (x) => tf.gather(x!, noGrad(() => tf.topk(tf.sum(x!, 2), 2).indices) as tf.Tensor2D, 1, 1),
  ],
  [
    'depthwiseConvolution',
    [[2, 5, 6, 3], [3, 3, 3, 1], [3]],
    (x, w, b) => depthwiseConvolution(x as tf.Tensor4D, w as tf.Tensor4D, b!, { stride: 1, padding: 1 }),
  ],
  ['batch norm in training', [[2, 3, 4, 5]], (x) => batchNorm().train(x as tf.Tensor4D)],
  ['hardSwish', [[7]], (x) => hardSwish(tf.mul(x!, 3))],
  ['resizeBilinear', [[2, 3, 4, 2]], (x) => resizeBilinear(x as tf.Tensor4D, [5, 6])],
  [
    'linearRows with bias, and with ReLU',
    [[5, 3], [4, 3], [4]],
    (x, w, b) => tf.add(linearRows(x as tf.Tensor2D, w!, b!), linearRows(x as tf.Tensor2D, w!, b!, 'relu')),
  ],
  [
    'convolution with bias and ReLU, and of single pixels with a stride',
    [[2, 5, 6, 3], [3, 3, 3, 4], [4], [1, 1, 3, 4]],
    (x, w, b, pixel) =>
      tf.add(
        convolution(x as tf.Tensor4D, w as tf.Tensor4D, b!, { stride: 2, padding: 1, relu: true }),
        convolution(x as tf.Tensor4D, pixel as tf.Tensor4D, null, { stride: 2, padding: 0 }),
      ),
  ],
  ['layerNorm', [[4, 6], [6], [6]], (x, w, b) => layerNorm(x!, w!, b!, 1e-5)],
  ['gelu', [[3, 4]], (x) => gelu(x!)],
  [
    'attention',
    [
      [2, 3, 4],
      [2, 5, 8],
      [2, 1, 5],
    ],
    (q, kv, bias) => attention('q,kv', [q!, kv!], 2, { bias: bias! }),
  ],
  [
    'roiAlign',
    [[2, 9, 3]],
    (x) =>
      roiAlign(
        x as tf.Tensor3D,
        [{ height: 3, width: 3, scale: 0.5 }],
        tf.tensor3d([[[0, 1, 5, 4]], [[2, 1, 3, 6]]]),
        tf.tensor2d([[0], [0]], [2, 1], 'int32'),
        { grid: [2, 2] },
      ),
  ],
  [
    'msDeformAttn',
    [
      [2, 16, 2, 4],
      [2, 5, 2, 2, 3, 2],
      [2, 5, 2, 2, 3],
    ],
    (v, l, w) => msDeformAttn(v as tf.Tensor4D, LEVELS, tf.sigmoid(l!), w as tf.Tensor5D),
  ],
  [
    'msDeformAttnRaw',
    [
      [2, 16, 2, 4],
      [2, 5, 2, 2],
      [2, 5, 2, 2, 3, 2],
      [2, 5, 2, 6],
    ],
    (v, r, o, a) => msDeformAttnRaw(v as tf.Tensor4D, LEVELS, tf.sigmoid(r!), o!, a as tf.Tensor4D),
  ],
]; // prettier-ignore

/** Values alone: comparisons, whole numbers, sortings. */
export const DISCRETE: readonly CompiledCase[] = [
  [
    'comparisons and logic',
    [[6], [6]],
    (a, b) =>
      tf.stack(
        [
          tf.greater(a!, b!),
          tf.greaterEqual(a!, b!),
          tf.less(a!, b!),
          tf.lessEqual(a!, b!),
          tf.equal(a!, a!),
          tf.notEqual(a!, b!),
          tf.logicalAnd(tf.greater(a!, 0), tf.logicalNot(tf.greater(b!, 0))),
          tf.isNaN(tf.sqrt(a!)),
        ].map((x) => tf.cast(x, 'float32')),
      ),
  ],
  [
    'any, or, min, log1p',
    [[2, 5]],
    (x) => {
      const either = tf.logicalOr(tf.greater(x!, 1), tf.less(x!, -1));
      const least = tf.log1p(tf.square(tf.min(x!, 1)));
      return tf.add(tf.cast(tf.any(either, 1), 'float32'), least);
    },
  ],
  [
    'suppress',
    [
      [2, 6, 2],
      [2, 6, 3],
    ],
    (corner, scores) => {
      const boxes = tf.expandDims(tf.concat([corner!, tf.add(corner!, 2)], 2), 2) as tf.Tensor4D;
      const kept = suppress(boxes, scores as tf.Tensor3D, { iou: 0.4, count: 7, above: -1 });
      const ranks = [kept.scores, tf.cast(kept.groups, 'float32'), kept.mask];
      return tf.concat([kept.boxes, tf.stack(ranks, 2)], 2);
    },
  ],
  [
    'division of whole numbers',
    [[6]],
    (x) => tf.cast(tf.floorDiv(tf.cast(tf.mul(x!, 20), 'int32'), tf.scalar(7, 'int32')), 'float32'),
  ],
  [
    'all, argMax, floor',
    [[2, 5]],
    (x) =>
      tf.add(
        tf.add(tf.cast(tf.all(tf.greater(x!, -9), 1), 'float32'), tf.cast(tf.argMax(x!, 1), 'float32')),
        tf.sum(tf.floor(x!), 1),
      ),
  ],
  [
    'topk',
    [[2, 6]],
    (x) => {
      const { values, indices } = tf.topk(x!, 3);
      return tf.add(values, tf.cast(indices, 'float32'));
    },
  ],
  [
    'oneHot, range, zerosLike, onesLike',
    [[2, 4]],
    (x) =>
      tf.add(
        tf.oneHot(tf.cast(tf.argMax(x!, 1), 'int32'), 4, 1, 0, 'float32'),
        tf.add(tf.add(tf.zerosLike(x!), tf.onesLike(x!)), tf.range(0, 4)),
      ),
  ],
  [
    'gatherND, scatterND',
    [[4, 3]],
    (x) => {
      const place = tf.reshape(tf.cast(tf.topk(tf.sum(x!, 1), 2).indices, 'int32'), [2, 1]);
      return tf.scatterND(place, tf.gatherND(x!, place), [4, 3]);
    },
  ],
  [
    'fill, eye, zeros',
    [[2, 2]],
    (x) => tf.add(tf.add(x!, tf.fill([2, 2], 3)), tf.add(tf.eye(2), tf.zeros([2, 2]))),
  ],
  ['linearAssignment', [COSTS], (x) => linearAssignment(x as tf.Tensor3D, tf.tensor1d([3, 1], 'int32'))],
  ['squaredNorm', [[3], [2, 2]], (...all) => squaredNorm(all)],
  [
    'adamW',
    [[7], [7], [3], [2, 2], [4]],
    (param, moment, first, second, given) => {
      const vector = param as tf.Tensor1D;
      const moments = { first: moment as tf.Tensor1D, second: tf.square(moment!) as tf.Tensor1D };
      const { next, values } = adamW(
        { param: vector, ...moments, average: vector },
        [first!, second!],
        tf.abs(given as tf.Tensor1D),
        tf.scalar(0.5),
        [0.9, 0.99],
      );
      const vectors = [next.param, next.first, next.second, next.average!];
      return tf.concat([...vectors, ...values.map((value) => value.flatten())]);
    },
  ],
  [
    'random numbers',
    [[3]],
    (x) =>
      tf.add(
        x!,
        new RandomStream(tf.cast(tf.slice(tf.mul(x!, 100), [0], [2]), 'int32') as tf.Tensor1D).uniform([3]),
      ),
  ],
]; // prettier-ignore
