// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy, pairwiseGiou } from '../../models/boxes.js';
import type { PaddedTargets } from '../../models/types.js';
import { linearAssignment, noGrad } from '../../ops/index.js';
import type { StackedOutputs } from './context.js';
import type { FocalOptions } from './focal.js';
import { FOCAL_DEFAULTS, power } from './focal.js';

/** How well a query's logits fit a target's words or class. Rows of CLASS_COSTS. */
export type ClassCostName = 'softmax-token' | 'focal-token' | 'softmax-class' | 'focal-class';

/** Settings of the matcher; the three weights are DETR's `set_cost_*`. */
export interface MatcherOptions {
  classCost: ClassCostName;
  class: number;
  bbox: number;
  giou: number;
  focal?: FocalOptions;
}

/** Which query predicts which target, for every decoder layer. All tensors are constants to the gradient. */
export type Matching = {
  /** int32 `[batch, layers, targets]`: the query of each target, -1 where it has none. */
  queries: tf.Tensor3D;
  /** float `[batch, layers, targets]`: 1 where a target has a query. */
  matched: tf.Tensor3D;
  /** int32 `[batch, layers, targets]`: row of that query among all `batch * layers * queries`, 0 where there is none. */
  queryRows: tf.Tensor3D;
  /** int32 `[batch, layers, queries]`: 1 + row of the query's target among all `batch * targets`, 0 = unmatched. */
  targetRows: tf.Tensor3D;
};

/**
 * Class costs: logits `[batch, rows, slots]` and the positive map `[batch, targets, slots]` give
 * `[batch, rows, targets]`. A class is a map with a single one, so classes and tokens share their formulas.
 */
const CLASS_COSTS: Record<
  ClassCostName,
  (logits: tf.Tensor3D, map: tf.Tensor3D, focal: FocalOptions) => tf.Tensor3D
> = {
  // Probability on the target's tokens (MDETR, Kamath et al. 2021) or class (DETR, Carion et al. 2020).
  'softmax-token': softmaxCost,
  'softmax-class': softmaxCost,
  // Focal, mean over the target's tokens (Grounding DINO, Liu et al. 2023) or of its class (Deformable DETR, Zhu et al. 2021).
  'focal-token': (logits, map, focal) => focalCost(logits, meanOverTokens(map), focal),
  'focal-class': focalCost,
};

function softmaxCost(logits: tf.Tensor3D, map: tf.Tensor3D): tf.Tensor3D {
  return tf.neg(tf.matMul(tf.softmax(logits), map, false, true));
}

function focalCost(logits: tf.Tensor3D, map: tf.Tensor3D, { alpha, gamma }: FocalOptions): tf.Tensor3D {
  const tiny = 1e-8; // in the logarithms, as in every public implementation
  const p = tf.sigmoid(logits);
  const q = tf.sub(1, p);
  const ifPositive = tf.mul(tf.mul(-alpha, power(q, gamma)), tf.log(tf.add(p, tiny)));
  const ifNegative = tf.mul(tf.mul(alpha - 1, power(p, gamma)), tf.log(tf.add(q, tiny)));
  return tf.matMul(tf.sub(ifPositive, ifNegative) as tf.Tensor3D, map, false, true);
}

function meanOverTokens(map: tf.Tensor3D): tf.Tensor3D {
  return tf.div(map, tf.maximum(tf.sum(map, -1, true), 1e-6));
}

/**
 * Matching cost of every query with every target (padding targets included).
 *
 * @returns `[batch, layers, queries, targets]`
 */
export function matchingCosts(
  { logits, boxes }: Pick<StackedOutputs, 'logits' | 'boxes'>,
  targets: PaddedTargets,
  options: MatcherOptions,
): tf.Tensor4D {
  const [batch, layers, queries, slots] = logits.shape;
  const rows = layers * queries;
  const flatLogits = tf.reshape(logits, [batch, rows, slots]);
  const flatBoxes = tf.reshape(boxes, [batch, rows, 4]);
  const focal = options.focal ?? FOCAL_DEFAULTS;
  const byClass = CLASS_COSTS[options.classCost](flatLogits as tf.Tensor3D, targets.positiveMap, focal);
  const difference = tf.sub(tf.expandDims(flatBoxes, 2), tf.expandDims(targets.boxes, 1));
  const l1 = tf.sum(tf.abs(difference), -1);
  const giou = pairwiseGiou(cxcywhToXyxy(flatBoxes), cxcywhToXyxy(targets.boxes));
  const cost = tf.addN([
    tf.mul(options.class, byClass),
    tf.mul(options.bbox, l1),
    tf.mul(-options.giou, giou),
  ]);
  return tf.reshape(cost, [batch, layers, queries, targets.boxes.shape[1]]) as tf.Tensor4D;
}

/**
 * The cheapest one-to-one matching of every picture and decoder layer, in one call and without reading values back.
 *
 * @param targets real targets come first in every picture: `mask` is ones, then zeros
 * @throws where a cost is NaN, naming the row of the batch (row = picture * layers + layer)
 */
export function match(
  outputs: Pick<StackedOutputs, 'logits' | 'boxes'>,
  targets: PaddedTargets,
  options: MatcherOptions,
): Matching {
  const [batch, layers, queries] = outputs.logits.shape;
  const count = targets.boxes.shape[1];
  return noGrad(() =>
    tf.tidy(() => {
      const costs = tf.reshape(matchingCosts(outputs, targets, options), [batch * layers, queries, count]);
      const perPicture = tf.cast(tf.sum(targets.mask, 1), 'int32');
      const sizes = tf.reshape(tf.tile(tf.expandDims(perPicture, 1), [1, layers]), [batch * layers]);
      const assigned = linearAssignment(costs as tf.Tensor3D, sizes as tf.Tensor1D); // [batch * layers, targets]
      return describeMatching(tf.reshape(assigned, [batch, layers, count]) as tf.Tensor3D, queries);
    }),
  );
}

/** Both directions of a matching as row numbers to gather by. @param queryOf int32 `[batch, layers, targets]`, -1 = none */
export function describeMatching(queryOf: tf.Tensor3D, queries: number): Matching {
  return noGrad(() => {
    const [batch, layers, count] = queryOf.shape;
    const found = tf.greaterEqual(queryOf, tf.scalar(0, 'int32'));
    const group = tf.tensor3d(
      Int32Array.from({ length: batch * layers }, (_, i) => i * queries),
      [batch, layers, 1],
      'int32',
    );
    const rows = tf.add(queryOf, group) as tf.Tensor3D;
    const total = batch * layers * queries;
    // Scatter 1 + target row to each query's place; what has no query goes to a place behind the last one.
    const place = tf.where(found, rows, tf.fill([batch, layers, count], total, 'int32'));
    const targetRow = tf.tensor3d(
      Int32Array.from({ length: batch * count }, (_, i) => i + 1),
      [batch, 1, count],
      'int32',
    );
    const rowOfTarget = tf.broadcastTo(targetRow, [batch, layers, count]);
    const size = batch * layers * count;
    const scattered = tf.scatterND(tf.reshape(place, [size, 1]), tf.reshape(rowOfTarget, [size]), [
      total + 1,
    ]) as tf.Tensor1D;
    return {
      queries: queryOf,
      matched: tf.cast(found, 'float32') as tf.Tensor3D,
      queryRows: tf.where(found, rows, tf.zerosLike(rows)) as tf.Tensor3D,
      targetRows: tf.reshape(tf.slice(scattered, 0, total), [batch, layers, queries]) as tf.Tensor3D,
    };
  });
}
