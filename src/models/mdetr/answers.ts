// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy } from '../boxes.js';

/** Boxes of a picture in its pixels. @param boxes `[batch, Q, 4]` (cx, cy, w, h) @param sizes `[batch, 2]` height, width */
export function boxesInPixels(boxes: tf.Tensor3D, sizes: tf.Tensor2D): tf.Tensor3D {
  return tf.tidy(() => {
    const [height, width] = tf.split(tf.expandDims(tf.cast(sizes, 'float32'), 1), 2, 2);
    return tf.mul(cxcywhToXyxy(boxes), tf.concat([width!, height!, width!, height!], 2)) as tf.Tensor3D;
  });
}

/**
 * How sure each query is that it found anything the text speaks of: one minus the probability of the last slot, "no object".
 *
 * @param logits `[batch, Q, slots]`
 * @param isFinal logits `[batch, Q, 1]` of models that were trained to tell the object meant from others that are named;
 * scores are weighted with them
 * @returns `[batch, Q]`
 */
export function softTokenScores(logits: tf.Tensor3D, isFinal?: tf.Tensor3D): tf.Tensor2D {
  return tf.tidy(() => {
    const [batch, queries, slots] = logits.shape;
    const absent = tf.slice(tf.softmax(logits), [0, 0, slots - 1], [batch, queries, 1]);
    const scores = tf.sub(1, absent);
    const weighted = isFinal ? tf.mul(scores, tf.sigmoid(isFinal)) : scores;
    return weighted.reshape([batch, queries]) as tf.Tensor2D;
  });
}

/**
 * Order of the queries for each phrase, best first: a query's score for a phrase is its largest probability of one of the
 * phrase's tokens. MDETR's way to ground phrases (Kamath et al. 2021).
 *
 * @param logits `[batch, Q, slots]`
 * @param positiveMap `[phrases, slots]`, above 0 at a phrase's tokens; phrases of the first picture first
 * @param counts phrases of each picture
 * @returns int32 `[phrases, Q]` query numbers
 * @throws RangeError where the counts do not sum up to the phrases
 */
export function rankQueries(
  logits: tf.Tensor3D,
  positiveMap: tf.Tensor2D,
  counts: readonly number[],
): tf.Tensor2D {
  const [batch, queries] = logits.shape;
  const phrases = positiveMap.shape[0];
  const sum = counts.reduce((total, count) => total + count, 0);
  if (counts.length !== batch || sum !== phrases) {
    throw new RangeError(
      `[rankQueries] expected the phrases of ${batch} pictures to sum up to ${phrases} but received [${counts.join(', ')}]`,
    );
  }
  return tf.tidy(() => {
    const picture = counts.flatMap((count, i) => Array<number>(count).fill(i));
    const own = tf.gather(tf.softmax(logits), tf.tensor1d(picture, 'int32')); // [phrases, Q, slots]
    const inside = tf.expandDims(tf.cast(tf.greater(positiveMap, 0), 'float32'), 1);
    const scores = tf.max(tf.mul(own, inside), 2);
    return tf.topk(scores, queries, true).indices as tf.Tensor2D;
  });
}
