// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';

/** The keys of a text encoder's `config.json` that matter here, by their names there. */
export interface TextEncoderConfig {
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  intermediate_size: number;
  /** Rows of the position table. */
  max_position_embeddings: number;
  type_vocab_size: number;
  layer_norm_eps: number;
  hidden_act: string;
  pad_token_id: number;
  hidden_dropout_prob: number;
  attention_probs_dropout_prob: number;
  /** Standard deviation of fresh weights. */
  initializer_range: number;
  /** Whether there is a pooler after the last layer. */
  add_pooling_layer: boolean;
}

/** Whole numbers above 0. */
const SIZES: ReadonlySet<string> = new Set([
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'intermediate_size',
  'max_position_embeddings',
  'type_vocab_size',
]);

/** Probabilities, below 1. */
const RATES: ReadonlySet<string> = new Set(['hidden_dropout_prob', 'attention_probs_dropout_prob']);

/** Keys whose other values are not supported, and the one that is. */
const FIXED: Readonly<Record<string, unknown>> = {
  position_embedding_type: 'absolute',
  is_decoder: false,
  add_cross_attention: false,
};

/**
 * Checks settings of a text encoder.
 *
 * @param defaults what keys that are left out have
 * @param settings by the names of a published `config.json`
 * @param source what messages call them
 * @param strict refuse keys that mean nothing here; published files hold many
 * @throws UserError (exit code `checkpoint`) naming the key and what it may hold
 */
export function checkTextEncoderConfig(
  defaults: TextEncoderConfig,
  settings: Readonly<Record<string, unknown>>,
  source: string,
  strict: boolean,
): void {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  const known = Object.keys(defaults);
  for (const [key, value] of Object.entries(settings)) {
    if (known.includes(key)) {
      const wanted = expected(typeof defaults[key as keyof TextEncoderConfig], key, value);
      if (wanted !== null) fail(`${key} must be ${wanted}, but it is ${JSON.stringify(value)}`);
    } else if (strict) {
      const near = didYouMean(key, known);
      fail(`unknown key ${key}${near ? ` (did you mean ${near}?)` : ''}`);
    } else if (key in FIXED && value !== FIXED[key]) {
      fail(`${key} ${JSON.stringify(value)} is not supported, only ${JSON.stringify(FIXED[key])}`);
    }
  }
  const { hidden_size, num_attention_heads } = { ...defaults, ...settings };
  if (hidden_size % num_attention_heads !== 0) {
    fail(`num_attention_heads, ${num_attention_heads}, does not divide hidden_size, ${hidden_size}`);
  }
}

/** What `key` may hold, in words; null where `value` is such. */
function expected(kind: string, key: string, value: unknown): string | null {
  if (SIZES.has(key))
    return Number.isSafeInteger(value) && Number(value) > 0 ? null : 'a whole number above 0';
  if (RATES.has(key)) {
    return typeof value === 'number' && value >= 0 && value < 1 ? null : 'a number from 0 to below 1';
  }
  if (kind !== 'number') return typeof value === kind ? null : kind === 'boolean' ? 'true or false' : 'text';
  return Number.isFinite(value) && Number(value) >= 0 ? null : 'a number from 0 up';
}
