// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { TextSequence } from '../deformable_encoder.js';
import { Module } from '../module.js';
import type { LogitKind } from './options.js';

/** Probability of every token at the start, where there is a bias to say so. */
const PRIOR = 0.01;

/**
 * One logit for each pair of query and token; minus infinity where a token is padding. Parameter `bias`, for `scaled`
 * logits. Sources: Liu et al. 2023 (Grounding DINO); Zhao et al. 2024 (MM-Grounding-DINO).
 */
export class TokenLogits extends Module {
  private readonly bias: tf.Variable | null;

  constructor(kind: LogitKind) {
    super();
    this.bias =
      kind === 'scaled'
        ? this.parameter('bias', {
            shape: [],
            init: { kind: 'constant', value: -Math.log((1 - PRIOR) / PRIOR) },
          })
        : null;
  }

  /** @param hidden `[batch, Q, C]` @returns `[batch, Q, tokens]` */
  forward(hidden: tf.Tensor, { tokens, mask }: TextSequence): tf.Tensor3D {
    const words = this.bias ? tf.mul(tokens, 1 / Math.sqrt(tokens.shape[2])) : tokens;
    const product = tf.matMul(hidden, words, false, true);
    const logits = this.bias ? tf.add(product, this.bias) : product;
    const real = tf.broadcastTo(tf.expandDims(tf.greater(mask, 0), 1), logits.shape);
    return tf.where(real, logits, tf.fill(logits.shape, Number.NEGATIVE_INFINITY)) as tf.Tensor3D;
  }
}
