// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { attentionGradient, joinHeads, splitHeads } from './attention_heads.js';
import { argumentError, checkTensor } from './check.js';

const OP = 'selfAttention';

/**
 * `softmax(q k^T / sqrt(size)) v` by heads, of all tokens of a picture with each other. Its gradient computes the weights
 * again, so that training keeps nothing that grows with the square of the tokens. Source: Vaswani et al. 2017.
 *
 * @param qkv `[batch * tokens, 3 * C]`: queries, keys, values; channels by head
 * @returns `[batch * tokens, C]`
 * @throws Error naming the argument that has the wrong type or shape
 */
export function selfAttention(qkv: tf.Tensor2D, batch: number, heads: number): tf.Tensor2D {
  checkTensor(OP, 'qkv', qkv, 'float32', '[batch * tokens, 3 * C]', [null, null]);
  const [rows, columns] = qkv.shape;
  if (rows % batch !== 0) throw argumentError(OP, `a multiple of ${batch} rows`, 'qkv', `${rows}`);
  if (columns % (3 * heads) !== 0) {
    throw argumentError(OP, `3 * C columns, C a multiple of ${heads} heads`, 'qkv', `${columns}`);
  }
  const tokens = rows / batch;
  const scale = (columns / 3 / heads) ** -0.5;
  const attend = (x: tf.Tensor) => {
    const [queries, k, v] = splitHeads(x, [batch], tokens, heads);
    const q = tf.mul(queries, scale);
    const weights = tf.softmax(tf.matMul(q, k, false, true));
    return { q, k, v, weights, mixed: tf.matMul(weights, v) };
  };
  return tf.customGrad((x, save) => {
    (save as unknown as (tensors: tf.Tensor[]) => void)([x as tf.Tensor]);
    return {
      value: joinHeads(tf.tidy(() => attend(x as tf.Tensor).mixed)),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const upstream = splitHeads(dy, [batch], tokens, heads, 1)[0];
        const [dQ, dK, dV] = attentionGradient(upstream, attend(saved[0]!)).dQkv;
        return joinHeads(tf.mul(dQ, scale), dK, dV);
      },
    };
  })(qkv) as tf.Tensor2D;
}
