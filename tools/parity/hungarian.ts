// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy, pairwiseGiou, pairwiseIou, xyxyToCxcywh } from '../../src/models/boxes.js';
import type { DetectorOutput, PaddedTargets } from '../../src/models/types.js';
import { linearAssignment, type OpPath } from '../../src/ops/index.js';
import type { ClassCostName, FocalOptions } from '../../src/train/losses/index.js';
import {
  classCriterion,
  classTargets,
  diceLoss,
  FOCAL_DEFAULTS,
  match,
  matchingCosts,
  sigmoidFocal,
} from '../../src/train/losses/index.js';
import type { CaseContext } from './context.js';

// ---- Assignment ----

/** Optimal assignment of one matrix. Refusals, and problems with several optima, are told by the manifest. */
export function runAssignment(context: CaseContext): void {
  const [queries, targets] = context.raw('in/cost').shape as [number, number];
  const solve = (costs: tf.Tensor): Int32Array => {
    const batch = tf.reshape(costs, [1, queries, targets]) as tf.Tensor3D;
    const sizes = tf.tensor1d([targets], 'int32');
    const path = context.path as OpPath;
    return context.compute(() => linearAssignment(batch, sizes, { path })).dataSync() as Int32Array;
  };
  const { error } = context.entry;
  if (typeof error === 'string') {
    solve(tf.zeros([queries, targets])); // it is the costs that are refused, not the call
    const refused = throws(() => solve(context.tensor('in/cost')));
    context.check('refused', refused, `accepted a matrix that must be refused: ${error}`);
    return;
  }
  const pairs = [...solve(context.tensor('in/cost'))]
    .map((query, target) => [query, target] as const)
    .filter(([query]) => query >= 0)
    .sort((a, b) => a[0] - b[0]);
  const used = new Set(pairs.map(([query]) => query));
  const whole = pairs.length === Math.min(queries, targets) && used.size === pairs.length;
  context.check('one to one', whole, `${pairs.length} pairs with ${used.size} rows`);
  const matrix = context.raw('in/cost').data;
  const costs = pairs.map(([query, target]) => Number(matrix[query * targets + target]));
  const sum = costs.reduce((total, cost) => total + cost, 0);
  const size = costs.reduce((total, cost) => total + Math.abs(cost), 0);
  context.compareNumber('cost', sum, context.entry.cost as number, 1e-12 * size);
  for (const [name, side] of [
    ['out/rows', 0],
    ['out/cols', 1],
  ] as const) {
    // Where several assignments are optimal, the cost decides.
    if (context.entry.unique === false) context.settle(name);
    else context.compare(name, { shape: [pairs.length], data: pairs.map((pair) => pair[side]) });
  }
}

function throws(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}

// ---- Matcher ----

const MATCHERS: Readonly<Record<string, ClassCostName>> = {
  deformable: 'focal-class',
  detr: 'softmax-class',
};

export function runMatcher(context: CaseContext): void {
  const { matcher, costs } = context.config as { matcher: string; costs: [number, number, number] };
  const classCost = MATCHERS[matcher];
  if (!classCost) throw new Error(`unknown matcher "${matcher}"`);
  const logits = tf.expandDims(context.tensor<tf.Tensor3D>('in/logits'), 1) as tf.Tensor4D;
  const boxes = tf.expandDims(context.tensor<tf.Tensor3D>('in/pred_boxes'), 1) as tf.Tensor4D;
  const [batch, , queries, slots] = logits.shape;
  const targets = labelledTargets(context, batch, slots);
  const focal = focalOf(context.config);
  const options = { classCost, class: costs[0], bbox: costs[1], giou: costs[2], focal };
  const { cost, found } = context.compute(() => ({
    cost: matchingCosts({ logits, boxes }, targets, options),
    found: match({ logits, boxes }, targets, options).queries,
  }));
  for (let i = 0; i < batch; i++) {
    const count = context.raw(`in/boxes.${i}`).shape[0]!;
    const own = tf.slice(cost, [i, 0, 0, 0], [1, 1, queries, count]);
    context.compare(`out/cost.${i}`, tf.reshape(own, [queries, count]));
    comparePairs(context, tf.slice(found, [i, 0, 0], [1, 1, count]), [`out/rows.${i}`, `out/cols.${i}`]);
  }
}

/** Compares the query of each target with stored lists of queries (rising) and targets. */
function comparePairs(context: CaseContext, queryOf: tf.Tensor, [rows, cols]: [string, string]): void {
  const pairs = matchedPairs(queryOf);
  context.compare(rows, { shape: [pairs.length], data: pairs.map(([query]) => query) });
  context.compare(cols, { shape: [pairs.length], data: pairs.map(([, target]) => target) });
}

/** (query, target) by rising query. @param queryOf int32, one entry a target, -1 = unmatched */
export function matchedPairs(queryOf: tf.Tensor): [query: number, target: number][] {
  return [...queryOf.dataSync()]
    .map((query, target): [number, number] => [query, target])
    .filter(([query]) => query >= 0)
    .sort((a, b) => a[0] - b[0]);
}

/** Targets from `in/boxes.I` and `in/labels.I`. */
export function labelledTargets(context: CaseContext, batch: number, slots: number): PaddedTargets {
  const images = Array.from({ length: batch }, (_, i) => i);
  const boxes = images.map((i) => rowsOf(context, `in/boxes.${i}`));
  const labels = images.map((i) => [...context.raw(`in/labels.${i}`).data].map(Number));
  return classTargets(boxes, labels, slots);
}

/** A stored matrix as rows of numbers. */
export function rowsOf(context: CaseContext, name: string): number[][] {
  const { shape, data } = context.raw(name);
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, i) =>
    Array.from({ length: width }, (_unused, j) => Number(data[i * width + j])),
  );
}

function focalOf(config: Record<string, unknown>): FocalOptions {
  const { alpha = FOCAL_DEFAULTS.alpha, gamma = FOCAL_DEFAULTS.gamma } = config as Partial<FocalOptions>;
  return { alpha, gamma };
}

// ---- Boxes ----

export function runBoxes(context: CaseContext): void {
  const first = context.variable('in/first');
  const second = context.variable('in/second');
  const upstream = context.tensor('in/upstream');
  const results = context.compute(() => {
    const corners = cxcywhToXyxy(first as tf.Tensor);
    const others = cxcywhToXyxy(second as tf.Tensor);
    return {
      corners,
      centres: xyxyToCxcywh(corners),
      iou: pairwiseIou(corners, others),
      giou: pairwiseGiou(corners, others),
    };
  });
  for (const [name, value] of Object.entries(results)) context.compare(`out/${name}`, value);
  const [dFirst, dSecond] = context.gradients([first, second], () => {
    const giou = pairwiseGiou(cxcywhToXyxy(first as tf.Tensor), cxcywhToXyxy(second as tf.Tensor));
    return tf.sum(tf.mul(giou, upstream)) as tf.Scalar;
  });
  context.compare('grad/first', dFirst!);
  context.compare('grad/second', dSecond!);
}

// ---- Focal and dice ----

export function runFocal(context: CaseContext): void {
  const { num_boxes: numBoxes } = context.config as { num_boxes: number };
  const logits = context.variable('in/logits');
  const targets = context.tensor('in/targets', 'float32');
  const focal = (): tf.Scalar =>
    tf.div(tf.sum(tf.mean(sigmoidFocal(logits, targets, focalOf(context.config)), 1)), numBoxes);
  const flat = (x: tf.Tensor): tf.Tensor => tf.reshape(x, [x.shape[0]!, -1]);
  const dice = (): tf.Scalar => tf.div(tf.sum(diceLoss(flat(logits), flat(targets))), numBoxes);
  context.compare('out/focal', context.compute(focal));
  context.compare('out/dice', context.compute(dice));
  context.compare('grad/logits', context.gradients([logits], focal)[0]!);
  context.compare('grad/logits_dice', context.gradients([logits], dice)[0]!);
}

// ---- Complete set loss ----

/** What transformers' Deformable DETR weighs with; a case may say otherwise. */
const SET_LOSS = { costs: [1, 5, 2], loss_weights: { loss_ce: 1, loss_bbox: 5, loss_giou: 2 } };

export function runSetLosses(context: CaseContext): void {
  const { costs, loss_weights: weights } = { ...SET_LOSS, ...context.config } as typeof SET_LOSS;
  const logits = context.variable('in/all_logits');
  const boxes = context.variable('in/all_boxes');
  const [, batch, , slots] = logits.shape as [number, number, number, number];
  const targets = labelledTargets(context, batch, slots);
  const focal = focalOf(context.config);
  const criterion = classCriterion({
    weights,
    focal,
    matcher: { classCost: 'focal-class', class: costs[0]!, bbox: costs[1]!, giou: costs[2]!, focal },
  });
  const compute = () => criterion.compute(asOutput(logits, boxes), targets);
  const { total, parts } = context.compute(compute);
  context.compare('out/loss', total);
  for (const [name, value] of Object.entries(parts)) context.compare(`out/loss.${name}`, value);
  const [dLogits, dBoxes] = context.gradients([logits, boxes], () => compute().total);
  context.compare('grad/all_logits', dLogits!);
  context.compare('grad/all_boxes', dBoxes!);
}

/** `[layers, batch, queries, n]` tensors as a detector's output. */
function asOutput(logits: tf.Tensor, boxes: tf.Tensor): DetectorOutput {
  const layersOf = (x: tf.Tensor) => tf.unstack(x) as tf.Tensor3D[];
  const boxLayers = layersOf(boxes);
  const layers = layersOf(logits).map((layer, i) => ({ pred_logits: layer, pred_boxes: boxLayers[i]! }));
  return { ...layers.at(-1)!, aux_outputs: layers.slice(0, -1) };
}
