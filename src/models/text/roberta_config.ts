// SPDX-License-Identifier: Apache-2.0
import type { TextEncoderConfig } from './encoder_config.js';

/** Two of the rows of the position table stand for no position. */
export type RobertaConfig = TextEncoderConfig;

/** roberta-base. Source: Liu et al. 2019. */
export const ROBERTA_DEFAULTS: RobertaConfig = {
  vocab_size: 50265,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 514,
  type_vocab_size: 1,
  layer_norm_eps: 1e-5,
  hidden_act: 'gelu',
  pad_token_id: 1,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  initializer_range: 0.02,
  add_pooling_layer: true,
};

/** Published sizes. Sources: Liu et al. 2019; Sanh et al. 2019 (distilled). */
export const ROBERTA_VARIANTS: Readonly<Record<string, Partial<RobertaConfig>>> = {
  'roberta-base': {},
  'roberta-large': {
    hidden_size: 1024,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    intermediate_size: 4096,
  },
  'distilroberta-base': { num_hidden_layers: 6 },
};
