// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { MdetrGOutput } from '../../models/mdetr_g.js';
import type { PaddedTargets } from '../../models/types.js';
import { noGrad } from '../../ops/index.js';
import { boxLosses, type MatcherOptions, match, qualityFocal, sigmoidFocal } from '../losses/index.js';
import type { TaskLoss } from '../task.js';
import { EMPTY_BOX, type GroundingTargets, type RowTargets } from './batch.js';
import type { LabelTargets } from './label_targets.js';
import { tokenQualities, withNearest } from './query_targets.js';

export interface TokenSigmoidWeights {
  /** Focal loss on tokens. */
  tokens: number;
  bbox: number;
  giou: number;
  /** Focal loss on words that are true of objects whatever the sentence says. */
  labels: number;
  /** Share of the loss on matched queries; 0 trains the encoder alone. */
  queries: number;
}

export const TOKEN_SIGMOID_WEIGHTS: Readonly<TokenSigmoidWeights> = {
  tokens: 4,
  bbox: 5,
  giou: 2,
  labels: 4,
  queries: 1,
};

export interface GroundingWeights extends TokenSigmoidWeights {
  /** Share of the losses on earlier decoder layers. */
  aux: number;
  /** Share of the loss on all image tokens ("dense"). */
  dense: number;
  /** Share of the loss on noised boxes. */
  denoising: number;
}

/** Costs of the matcher: token, L1, generalised IoU. */
const MATCHER: MatcherOptions = { classCost: 'focal-token', class: 2, bbox: 5, giou: 2 };

/** Predictions and targets that share a normaliser, one line for each query or image token. */
interface Rows {
  name: string;
  /** `[n, tokens]` */
  logits: tf.Tensor2D;
  /** `[n, 4]` */
  boxes: tf.Tensor2D;
  targets: { tokens: tf.Tensor2D; boxes: tf.Tensor2D; boxMask: tf.Tensor1D; rowMask: tf.Tensor1D };
  weight: number;
  batch: number;
  /** How often the same object is counted on purpose (once per decoder layer): the loss is their sum. */
  layers: number;
}

/**
 * Loss of the token-sigmoid head: matched queries of every decoder layer, image tokens ("dense") and noised boxes.
 *
 * Every prediction is a row with its own target; all rows go through one focal loss and one box loss, whatever they come
 * from, because in a small model the number of operations costs more than their size. Focal sums divide by the positive
 * tokens of their group, box sums by its boxes (at least 1 both).
 */
export function groundingLoss(
  output: MdetrGOutput,
  targets: GroundingTargets,
  wordMask: tf.Tensor2D,
  weights: GroundingWeights,
): TaskLoss {
  const groups = weights.queries > 0 ? [matchedRows(output, targets, weights.queries)] : [];
  if (targets.denoising) groups.push(denoisingRows(output, targets.denoising, weights.denoising));
  if (output.proposals && targets.dense) groups.push(denseRows(output, targets.dense, weights.dense));
  const focal = focalElements(groups, wordMask);
  const { l1, giou } = boxElements(groups);
  const loss = total(groups, { focal, l1, giou }, weights);
  if (!output.labelLogits || !targets.labels) return loss;
  const labels = labelLoss(output.labelLogits, targets.labels);
  return {
    total: tf.add(loss.total, tf.mul(labels, weights.labels)),
    parts: { ...loss.parts, loss_labels: labels },
  };
}

/** Which words hold of the object at an image token; tokens without one are left out. */
function labelLoss(logits: tf.Tensor3D, { truth, rowMask, mask }: LabelTargets): tf.Scalar {
  const counted = noGrad(() => tf.mul(tf.expandDims(rowMask, 2), mask));
  const focal = tf.mul(sigmoidFocal(logits, truth), counted);
  return tf.div(tf.sum(focal), tf.maximum(tf.sum(truth), 1)) as tf.Scalar;
}

/** Rows of the queries that are matched one to one. */
function matchedRows(output: MdetrGOutput, targets: GroundingTargets, weight: number): Rows {
  const extra = targets.denoising?.boxMask.shape[1] ?? 0;
  const [batch, layers, all, tokens] = output.stackedLogits.shape;
  const queries = all - extra;
  const own = (x: tf.Tensor4D) => (extra ? tf.slice(x, [0, 0, 0, 0], [-1, -1, queries, -1]) : x);
  const logits = own(output.stackedLogits);
  const boxes = own(output.stackedBoxes);
  const assigned = noGrad(() => {
    const matched = assignQueries(logits, boxes, targets.referred);
    return { ...matched, ...withNearest(matched, boxes, targets.objects) };
  });
  const n = batch * layers * queries;
  return {
    name: 'query',
    logits: logits.reshape([n, tokens]),
    boxes: boxes.reshape([n, 4]),
    targets: {
      tokens: assigned.tokens.reshape([n, tokens]),
      boxes: assigned.boxes.reshape([n, 4]),
      boxMask: assigned.mask.reshape([n]),
      rowMask: tf.ones([n]),
    },
    weight,
    batch,
    layers,
  };
}

/** What each query should say, from the matching of all layers in one call. */
function assignQueries(
  logits: tf.Tensor4D,
  boxes: tf.Tensor4D,
  referred: PaddedTargets,
): { tokens: tf.Tensor; boxes: tf.Tensor; mask: tf.Tensor } {
  const [, layers, queries] = logits.shape;
  const matching = match({ logits, boxes }, referred, MATCHER);
  // -1 (padding) gives a row of zeros.
  const chosen = tf.oneHot(matching.queries, queries, 1, 0, 'float32'); // [batch, layers, targets, queries]
  const perLayer = (x: tf.Tensor3D) => tf.tile(tf.expandDims(x, 1), [1, layers, 1, 1]);
  const mask = tf.sum(chosen, 2); // [batch, layers, queries]
  const spare = tf.mul(tf.expandDims(tf.sub(1, mask), 3), tf.tensor1d([...EMPTY_BOX]));
  return {
    tokens: tf.matMul(chosen, perLayer(referred.positiveMap), true),
    boxes: tf.add(tf.matMul(chosen, perLayer(referred.boxes), true), spare),
    mask,
  };
}

function denoisingRows(output: MdetrGOutput, denoising: RowTargets, weight: number): Rows {
  const count = denoising.boxMask.shape[1];
  const [batch, layers, all, tokens] = output.stackedLogits.shape;
  const n = batch * layers * count;
  const rows = (x: tf.Tensor4D) =>
    tf.slice(x, [0, 0, all - count, 0], [-1, -1, count, -1]).reshape([n, x.shape[3]]) as tf.Tensor2D;
  const repeat = (x: tf.Tensor, ...width: number[]) =>
    tf
      .tile(x.reshape([batch, 1, count, ...width]), [1, layers, 1, ...width.map(() => 1)])
      .reshape([n, ...width]);
  return {
    name: 'denoising',
    logits: rows(output.stackedLogits),
    boxes: rows(output.stackedBoxes),
    targets: {
      tokens: repeat(denoising.tokens, tokens) as tf.Tensor2D,
      boxes: repeat(denoising.boxes, 4) as tf.Tensor2D,
      boxMask: repeat(denoising.boxMask) as tf.Tensor1D,
      rowMask: repeat(denoising.rowMask) as tf.Tensor1D,
    },
    weight,
    batch,
    layers,
  };
}

function denseRows(output: MdetrGOutput, dense: RowTargets, weight: number): Rows {
  const { logits, boxes } = output.proposals!;
  const [batch, rows, tokens] = logits.shape;
  const n = batch * rows;
  return {
    name: 'dense',
    logits: logits.reshape([n, tokens]),
    boxes: boxes.reshape([n, 4]),
    targets: {
      tokens: dense.tokens.reshape([n, tokens]),
      boxes: dense.boxes.reshape([n, 4]),
      boxMask: dense.boxMask.reshape([n]),
      rowMask: dense.rowMask.reshape([n]),
    },
    weight,
    batch,
    layers: 1,
  };
}

/** Focal loss of every row, summed over the real words: one `[n]` for all groups together. */
function focalElements(groups: Rows[], wordMask: tf.Tensor2D): tf.Tensor1D {
  const tokens = wordMask.shape[1];
  const words = noGrad(() => {
    const perGroup = groups.map((group) => wordRows(group, wordMask));
    return tf.mul(tf.concat(perGroup, 0), tf.expandDims(tf.concat(groups.map((g) => g.targets.rowMask)), 1));
  });
  const logits = tf.concat(groups.map((group) => group.logits));
  const qualities = noGrad(() =>
    tf.concat(groups.map(({ boxes, targets }) => tokenQualities(boxes, targets))),
  );
  const elements = qualityFocal(logits, qualities);
  return tf.sum(tf.mul(elements, words).reshape([-1, tokens]), 1) as tf.Tensor1D;
}

/** The word mask of the picture that each row belongs to, `[n, tokens]`: pictures come first in every group. */
function wordRows(group: Rows, wordMask: tf.Tensor2D): tf.Tensor2D {
  const [batch, tokens] = wordMask.shape;
  const perPicture = group.logits.shape[0] / batch;
  return tf.tile(tf.expandDims(wordMask, 1), [1, perPicture, 1]).reshape([-1, tokens]);
}

/** L1 (summed over coordinates) and 1 - GIoU of every row: `[n]` each. */
function boxElements(groups: Rows[]): { l1: tf.Tensor; giou: tf.Tensor } {
  return boxLosses(
    tf.concat(groups.map((group) => group.boxes)),
    tf.concat(groups.map((group) => group.targets.boxes)),
  );
}

/** Weighted sums by group; each group has its own normalisers. */
function total(
  groups: Rows[],
  elements: { focal: tf.Tensor; l1: tf.Tensor; giou: tf.Tensor },
  weights: GroundingWeights,
): TaskLoss {
  const coefficients = noGrad(() => {
    const perGroup = groups.map((group) => normalisers(group, weights.aux));
    return {
      focal: tf.concat(perGroup.map((c) => c.focal)),
      box: tf.concat(perGroup.map((c) => c.box)),
    };
  });
  const sum = (x: tf.Tensor, coefficient: tf.Tensor) => tf.sum(tf.mul(x, coefficient)) as tf.Scalar;
  const parts = {
    loss_tokens: sum(elements.focal, coefficients.focal),
    loss_bbox: sum(elements.l1, coefficients.box),
    loss_giou: sum(elements.giou, coefficients.box),
  };
  const loss = tf.add(
    tf.add(tf.mul(parts.loss_tokens, weights.tokens), tf.mul(parts.loss_bbox, weights.bbox)),
    tf.mul(parts.loss_giou, weights.giou),
  ) as tf.Scalar;
  return { total: loss, parts };
}

/** What each row's focal and box loss is multiplied with: `[n]` each. @param aux share of earlier decoder layers */
function normalisers(group: Rows, aux: number): { focal: tf.Tensor; box: tf.Tensor } {
  const scale = (count: tf.Tensor) => tf.div(group.weight * group.layers, tf.maximum(count, group.layers));
  const positive = tf.sum(group.targets.tokens);
  const boxes = tf.sum(group.targets.boxMask);
  const focal = tf.mul(group.targets.rowMask, scale(positive));
  const box = tf.mul(group.targets.boxMask, scale(boxes));
  if (aux === 1 || group.layers === 1) return { focal, box };
  const shares = layerShares(group, aux);
  return { focal: tf.mul(focal, shares), box: tf.mul(box, shares) };
}

/** 1 for rows of the last decoder layer, `aux` for the others: `[n]`, in the order batch, layer, row. */
function layerShares({ batch, layers, logits }: Rows, aux: number): tf.Tensor {
  const shares = Array.from({ length: layers }, (_, i) => (i < layers - 1 ? aux : 1));
  const perLayer = logits.shape[0] / batch / layers;
  return tf.tile(tf.tensor(shares, [1, layers, 1]), [batch, 1, perLayer]).reshape([-1]);
}
