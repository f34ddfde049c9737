// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { DetectorOutput, LayerOutput, PaddedTargets } from '../../models/types.js';
import type { Matching } from './matcher.js';

/**
 * Predictions of all decoder layers in one tensor each, the last layer last, so that every loss is computed once for
 * all of them: in an eager engine a small model's losses cost what their number of operations costs.
 */
export interface StackedOutputs {
  /** `[batch, layers, queries, slots]` */
  logits: tf.Tensor4D;
  /** `[batch, layers, queries, 4]` cxcywh */
  boxes: tf.Tensor4D;
  /** `[batch, layers, queries, hdim]` */
  projQueries?: tf.Tensor4D;
  /** `[batch, tokens, hdim]` */
  projTokens?: tf.Tensor3D;
  /** `[batch, layers, queries, 1]` logits */
  isfinal?: tf.Tensor4D;
}

/** What some losses need beside predictions and targets. */
export interface LossExtras {
  /** `[batch, tokens]`, 1 = real token. */
  tokenMask?: tf.Tensor2D;
  /** Similarities are divided by this (MDETR). */
  temperature?: tf.Tensor | number;
  /** Similarities are multiplied by min(exp(this), 100) instead (MDETR-G). */
  logitScale?: tf.Tensor;
  /** `[batch, targets, tokens]`: tokens each target aligns with; default: its positive map. */
  alignMap?: tf.Tensor3D;
  /** `[batch, targets, slots]`: slots that the losses teach, where they are not those that boxes are matched by. */
  taughtMap?: tf.Tensor3D;
  /** `[batch, targets]`, 1 = the target is what the sentence is about in the end. */
  isfinal?: tf.Tensor2D;
}

/** Everything a loss may look at. */
export interface LossContext {
  outputs: StackedOutputs;
  targets: PaddedTargets;
  matching: Matching;
  /** Scalar: number of targets of the batch, at least 1. */
  numBoxes: tf.Tensor;
  extras: LossExtras;
}

/** Values by key, each `[layers]`, or `[1]` for what only the last layer has. */
export type LossValues = Record<string, tf.Tensor1D>;

/** Stacks the layers of a detector's output on axis 1. */
export function stackLayers(output: DetectorOutput): StackedOutputs {
  const layers: LayerOutput[] = [...output.aux_outputs, output];
  const stacked: StackedOutputs = {
    logits: stack(layers.map((layer) => layer.pred_logits)),
    boxes: stack(layers.map((layer) => layer.pred_boxes)),
  };
  if (layers.every((layer) => layer.proj_queries !== undefined)) {
    stacked.projQueries = stack(layers.map((layer) => layer.proj_queries as tf.Tensor3D));
  }
  if (output.proj_tokens) stacked.projTokens = output.proj_tokens;
  if (layers.every((layer) => layer.pred_isfinal !== undefined)) {
    stacked.isfinal = stack(layers.map((layer) => layer.pred_isfinal as tf.Tensor3D));
  }
  return stacked;
}

function stack(tensors: tf.Tensor3D[]): tf.Tensor4D {
  return (tensors.length === 1 ? tf.expandDims(tensors[0]!, 1) : tf.stack(tensors, 1)) as tf.Tensor4D;
}

/**
 * Rows of the matched queries. Where a target has none, row 0 of the batch stands in: multiply by `matching.matched`.
 *
 * @param x `[batch, layers, queries, n]` @returns `[batch, layers, targets, n]`
 */
export function gatherQueries(x: tf.Tensor4D, matching: Matching): tf.Tensor4D {
  const [batch, layers, queries, n] = x.shape;
  const rows = tf.reshape(x, [batch * layers * queries, n]);
  return tf.gather(rows, matching.queryRows) as tf.Tensor4D;
}

/**
 * What every query has to predict: its target's row, or `unmatched` where it has none.
 *
 * @param table `[batch, targets, n]` constants @param unmatched `[1, n]` @returns `[batch, layers, queries, n]`
 */
export function gatherTargets(table: tf.Tensor3D, unmatched: tf.Tensor2D, matching: Matching): tf.Tensor4D {
  const [batch, targets, n] = table.shape;
  const rows = tf.concat([unmatched, tf.reshape(table, [batch * targets, n]) as tf.Tensor2D], 0);
  return tf.gather(rows as tf.Tensor, matching.targetRows) as tf.Tensor4D;
}

/** Sum over all axes but the layers', by `divisor`. @param x `[batch, layers, ...]` @returns `[layers]` */
export function perLayer(x: tf.Tensor, divisor?: tf.Tensor | number): tf.Tensor1D {
  const axes = Array.from({ length: x.rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const sum = tf.sum(x, axes);
  return (divisor === undefined ? sum : tf.div(sum, divisor)) as tf.Tensor1D;
}

/** Number of targets of the batch, at least 1. @returns scalar */
export function countTargets(targets: PaddedTargets): tf.Tensor {
  return tf.maximum(tf.sum(targets.mask), 1);
}
