// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';

/** The keys of a RoBERTa `config.json` that matter here, by their names there. */
export interface RobertaConfig {
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  intermediate_size: number;
  /** Rows of the position table: two more than a text may have tokens. */
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

/**
 * Checks settings of a RoBERTa encoder; keys that are left out have ROBERTA_DEFAULTS.
 *
 * @param settings by the names of a published `config.json`
 * @param source what messages call them
 * @param strict refuse keys that mean nothing here; published files hold many
 * @throws UserError (exit code `checkpoint`) naming the key and what it may hold
 */
export function checkRobertaConfig(
  settings: Readonly<Record<string, unknown>>,
  source: string,
  strict: boolean,
): void {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  const known = Object.keys(ROBERTA_DEFAULTS);
  for (const [key, value] of Object.entries(settings)) {
    if (known.includes(key)) {
      const wanted = expected(key as keyof RobertaConfig, value);
      if (wanted !== null) fail(`${key} must be ${wanted}, but it is ${JSON.stringify(value)}`);
    } else if (strict) {
      const near = didYouMean(key, known);
      fail(`unknown key ${key}${near ? ` (did you mean ${near}?)` : ''}`);
    }
  }
  const { hidden_size, num_attention_heads } = { ...ROBERTA_DEFAULTS, ...settings };
  if (hidden_size % num_attention_heads !== 0) {
    fail(`num_attention_heads, ${num_attention_heads}, does not divide hidden_size, ${hidden_size}`);
  }
}

/** What `key` may hold, in words; null where `value` is such. */
function expected(key: keyof RobertaConfig, value: unknown): string | null {
  const kind = typeof ROBERTA_DEFAULTS[key];
  if (SIZES.has(key))
    return Number.isSafeInteger(value) && Number(value) > 0 ? null : 'a whole number above 0';
  if (RATES.has(key)) {
    return typeof value === 'number' && value >= 0 && value < 1 ? null : 'a number from 0 to below 1';
  }
  if (kind !== 'number') return typeof value === kind ? null : kind === 'boolean' ? 'true or false' : 'text';
  return Number.isFinite(value) && Number(value) >= 0 ? null : 'a number from 0 up';
}
