// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy, elementwiseGiou } from '../../models/boxes.js';
import type { LossContext, LossValues } from './context.js';
import { gatherQueries, perLayer } from './context.js';

/**
 * L1 and generalised IoU loss of corresponding boxes.
 *
 * @param predicted `[..., 4]` cxcywh @param target `[..., 4]` cxcywh @returns two `[...]`: sum of |difference|, 1 - GIoU
 */
export function boxLosses(predicted: tf.Tensor, target: tf.Tensor): { l1: tf.Tensor; giou: tf.Tensor } {
  const l1 = tf.sum(tf.abs(tf.sub(predicted, target)), -1);
  const giou = tf.sub(1, elementwiseGiou(cxcywhToXyxy(predicted), cxcywhToXyxy(target)));
  return { l1, giou };
}

/** DETR's `loss_bbox` and `loss_giou`: sums over the matched pairs by the number of targets. Source: Carion et al. 2020. */
export function lossBoxes(context: LossContext): LossValues {
  const { outputs, targets, matching, numBoxes } = context;
  const [batch, layers, count] = matching.queries.shape;
  const predicted = gatherQueries(outputs.boxes, matching); // [batch, layers, targets, 4]
  const wanted = tf.broadcastTo(tf.expandDims(targets.boxes, 1), [batch, layers, count, 4]);
  const { l1, giou } = boxLosses(predicted, wanted);
  return {
    loss_bbox: perLayer(tf.mul(l1, matching.matched), numBoxes),
    loss_giou: perLayer(tf.mul(giou, matching.matched), numBoxes),
  };
}
