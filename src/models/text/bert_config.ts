// SPDX-License-Identifier: Apache-2.0
import type { TextEncoderConfig } from './encoder_config.js';

export type BertConfig = TextEncoderConfig;

/** bert-base-uncased. Source: Devlin et al. 2019. */
export const BERT_DEFAULTS: BertConfig = {
  vocab_size: 30522,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
  hidden_act: 'gelu',
  pad_token_id: 0,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  initializer_range: 0.02,
  add_pooling_layer: true,
};

/** Published sizes. Sources: Devlin et al. 2019; Wang et al. 2020 (MiniLM), as in sentence-transformers/all-MiniLM-L*-v2. */
export const BERT_VARIANTS: Readonly<Record<string, Partial<BertConfig>>> = {
  'bert-base-uncased': {},
  'bert-large-uncased': {
    hidden_size: 1024,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    intermediate_size: 4096,
  },
  'minilm-l6': { hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1536 },
  'minilm-l12': { hidden_size: 384, num_hidden_layers: 12, intermediate_size: 1536 },
};
