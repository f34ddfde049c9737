// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { ROBERTA_DEFAULTS, type RobertaConfig } from './roberta_config.js';
import { TransformerTextEncoder } from './transformer_encoder.js';

/**
 * RoBERTa's encoder (Liu et al. 2019). Parameters have the names of published weight files.
 *
 * Positions count the tokens that are not padding, found by their ids, whatever the mask says.
 */
export class RobertaEncoder extends TransformerTextEncoder {
  readonly maxTokens: number;

  constructor(config: Partial<RobertaConfig> = {}) {
    super({ ...ROBERTA_DEFAULTS, ...config }, 'RobertaEncoder', true);
    this.maxTokens = this.config.max_position_embeddings - this.padId - 1;
  }

  protected positions(ids: tf.Tensor2D): tf.Tensor2D {
    return positionIds(ids, this.padId);
  }
}

/**
 * `padId + number of tokens so far` for tokens, `padId` for padding.
 * @param ids int32 `[batch, tokens]` @returns int32 `[batch, tokens]`
 */
export function positionIds(ids: tf.Tensor2D, padId: number): tf.Tensor2D {
  const real = tf.cast(tf.notEqual(ids, tf.scalar(padId, 'int32')), 'int32');
  return tf.add(tf.mul(tf.cumsum(real, 1), real), tf.scalar(padId, 'int32')) as tf.Tensor2D;
}
