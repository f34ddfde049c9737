// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** Which tokens read each other, and where they stand in their phrase. */
export interface PhraseLayout {
  /** `[batch, tokens, tokens]`, 1 = the token of the row reads that of the column. */
  attention: tf.Tensor3D;
  /** int32 `[batch, tokens]`, counted from 0 in each phrase. */
  positions: tf.Tensor2D;
}

/**
 * Phrases are texts of their own: tokens read those of their phrase, up to the delimiter that ends it. First and last
 * token, padding, and a phrase that nothing but the end of the batch's text ends, read themselves alone.
 * Source: Liu et al. 2023, "Grounding DINO", https://github.com/IDEA-Research/GroundingDINO.
 *
 * @param ids int32 `[batch, tokens]`
 * @param delimiters ids that end a phrase
 */
export function phraseLayout(ids: tf.Tensor2D, delimiters: readonly number[]): PhraseLayout {
  return tf.tidy(() => {
    const tokens = ids.shape[1];
    const column = (at: number) =>
      tf.tensor2d(
        [...Array(tokens)].map((_, i) => (i === at ? 1 : 0)),
        [1, tokens],
      );
    // The first token is a phrase of its own whatever it is.
    const ends = delimiters.reduce<tf.Tensor>(
      (found, id) => tf.maximum(found, tf.cast(tf.equal(ids, tf.scalar(id, 'int32')), 'float32')),
      tf.tile(column(0), [ids.shape[0], 1]),
    );
    const phrase = tf.sub(tf.cumsum(ends, 1), ends); // delimiters before the token
    const ended = tf.sum(tf.mul(ends, tf.sub(1, column(tokens - 1))), 1, true);
    const closed = tf.cast(tf.less(phrase, ended), 'float32');
    const together = tf.cast(tf.equal(tf.expandDims(phrase, 2), tf.expandDims(phrase, 1)), 'float32');
    const same = tf.mul(together, tf.expandDims(closed, 2));
    const before = tf.tensor3d(lowerTriangle(tokens), [1, tokens, tokens]);
    return {
      attention: tf.maximum(same, tf.expandDims(tf.eye(tokens), 0)) as tf.Tensor3D,
      positions: tf.cast(tf.sum(tf.mul(same, before), 2), 'int32') as tf.Tensor2D,
    };
  });
}

/** 1 below the diagonal. */
function lowerTriangle(size: number): Float32Array {
  const values = new Float32Array(size * size);
  for (let row = 0; row < size; row++) values.fill(1, row * size, row * size + row);
  return values;
}
