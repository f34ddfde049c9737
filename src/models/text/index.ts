// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import { type RobertaConfig, RobertaEncoder } from './roberta.js';
import type { TextEncoder } from './text_encoder.js';

export { type BpeTrainerOptions, trainBpe } from './bpe_trainer.js';
export type { Encoding } from './encoding.js';
export { encodePrompt, type PromptOptions, requirePrompt } from './prompt.js';
export { positionIds, ROBERTA_DEFAULTS, type RobertaConfig, RobertaEncoder } from './roberta.js';
export {
  booleanMap,
  type Phrase,
  phraseOfTokens,
  positiveMap,
  SLOTS,
  tokensOfSpans,
  wordsOf,
} from './spans.js';
export type { TextEncoder, TextEncoderOptions, TextFeatures } from './text_encoder.js';
export { type BatchOptions, type EncodeOptions, Tokenizer } from './tokenizer.js';

/** Text encoders by the `model_type` of their `config.json`. */
const TEXT_ENCODERS: Readonly<Record<string, (config: Record<string, unknown>) => TextEncoder>> = {
  roberta: (config) => new RobertaEncoder(checkNumbers(config) as Partial<RobertaConfig>),
};

/**
 * A text encoder with fresh weights. @param name `model_type` @param config the other keys of its `config.json`
 * @throws UserError for a name that is not known and for a size that is no number
 */
export function buildTextEncoder(name: string, config: object): TextEncoder {
  const build = Object.hasOwn(TEXT_ENCODERS, name) ? TEXT_ENCODERS[name] : undefined;
  if (!build) {
    const names = Object.keys(TEXT_ENCODERS);
    const near = didYouMean(name, names);
    throw new UserError(
      `There is no text encoder "${name}".${near ? ` Did you mean "${near}"?` : ''} Text encoders: ${names.join(', ')}.`,
      EXIT_CODES.usage,
    );
  }
  return build({ ...config });
}

/** Keys whose values must be whole numbers above 0. */
const SIZES = [
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'intermediate_size',
  'max_position_embeddings',
  'type_vocab_size',
];

function checkNumbers(config: Record<string, unknown>): Record<string, unknown> {
  for (const key of SIZES) {
    const value = config[key];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) > 0)) {
      throw new UserError(
        `Text encoder: ${key} is ${JSON.stringify(value)}, expected a whole number above 0.`,
        EXIT_CODES.checkpoint,
      );
    }
  }
  return config;
}
