// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy } from '../boxes.js';
import type { LayerOutput } from '../types.js';

/** So many detections of a picture are kept, as in COCO's evaluation. */
export const TOP_DETECTIONS = 100;

/** The best answers of each picture, best first. */
export type TopDetections = {
  /** `[batch, K]` in [0, 1]. */
  scores: tf.Tensor2D;
  /** int32 `[batch, K]`, numbers of classes. */
  labels: tf.Tensor2D;
  /** `[batch, K, 4]`, (x0, y0, x1, y1) as parts of the picture's real size. */
  boxes: tf.Tensor3D;
};

/**
 * The best pairs of query and class of each picture: a query may answer with several classes. Tensors only, so it can be
 * part of a compiled function. Source: Zhu et al. 2021.
 * @param wanted `[classes]`, 1 = a class that is asked for; null = all
 */
export function topDetections(
  { pred_logits, pred_boxes }: LayerOutput,
  wanted: tf.Tensor1D | null = null,
  count = TOP_DETECTIONS,
): TopDetections {
  const [batch, queries, classes] = pred_logits.shape;
  const probability = tf.sigmoid(pred_logits);
  const asked = wanted ? tf.mul(probability, wanted) : probability;
  const flat = tf.reshape(asked, [batch, queries * classes]);
  const { values, indices } = tf.topk(flat, Math.min(count, queries * classes), true);
  const perQuery = tf.scalar(classes, 'int32');
  const query = tf.floorDiv(indices, perQuery);
  return {
    scores: values as tf.Tensor2D,
    labels: tf.sub(indices, tf.mul(query, perQuery)) as tf.Tensor2D,
    boxes: cxcywhToXyxy(tf.gather(pred_boxes, query as tf.Tensor2D, 1, 1) as tf.Tensor3D),
  };
}
