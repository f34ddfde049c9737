// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { BERT_DEFAULTS, type BertConfig } from './bert_config.js';
import { TransformerTextEncoder } from './transformer_encoder.js';

/**
 * BERT's encoder (Devlin et al. 2019), MiniLM's too (Wang et al. 2020). Parameters have the names of published weight
 * files. All tokens are of the first type.
 */
export class BertEncoder extends TransformerTextEncoder {
  readonly maxTokens: number;

  constructor(config: Partial<BertConfig> = {}) {
    super({ ...BERT_DEFAULTS, ...config }, 'BertEncoder', false);
    this.maxTokens = this.config.max_position_embeddings;
  }

  protected positions(ids: tf.Tensor2D): tf.Tensor2D {
    return tf.range(0, ids.shape[1], 1, 'int32').expandDims(0) as tf.Tensor2D;
  }
}
