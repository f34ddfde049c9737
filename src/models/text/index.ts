// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import { RobertaEncoder } from './roberta.js';
import { checkRobertaConfig, type RobertaConfig } from './roberta_config.js';
import type { TextEncoder } from './text_encoder.js';

export { type BpeTrainerOptions, trainBpe } from './bpe_trainer.js';
export type { Encoding } from './encoding.js';
export { encodePrompt, type PromptOptions, requirePrompt } from './prompt.js';
export { positionIds, RobertaEncoder } from './roberta.js';
export { ROBERTA_DEFAULTS, type RobertaConfig } from './roberta_config.js';
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

/** A family of text encoders. */
interface TextEncoderFamily {
  build(settings: Readonly<Record<string, unknown>>): TextEncoder;
  /** @param strict refuse unknown keys too */
  check(settings: Readonly<Record<string, unknown>>, source: string, strict: boolean): void;
}

/** Text encoders by the `model_type` of their `config.json`. */
const TEXT_ENCODERS: Readonly<Record<string, TextEncoderFamily>> = {
  roberta: {
    build: (settings) => new RobertaEncoder(settings as Partial<RobertaConfig>),
    check: checkRobertaConfig,
  },
};

/**
 * A text encoder with fresh weights.
 *
 * @param name `model_type`
 * @param config the other keys of its `config.json`; those that mean nothing here are passed over
 * @throws UserError for a name that is not known and for a value of the wrong kind
 */
export function buildTextEncoder(name: string, config: object): TextEncoder {
  const family = familyOf(name);
  const settings = { ...config };
  family.check(settings, `text encoder ${name}`, false);
  return family.build(settings);
}

/** Checks that a text encoder can be made of these settings. @throws UserError that begins with `source` */
export function checkTextEncoder(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  source: string,
): void {
  familyOf(name).check(settings, source, true);
}

function familyOf(name: string): TextEncoderFamily {
  const family = Object.hasOwn(TEXT_ENCODERS, name) ? TEXT_ENCODERS[name] : undefined;
  if (family) return family;
  const names = Object.keys(TEXT_ENCODERS);
  const near = didYouMean(name, names);
  throw new UserError(
    `There is no text encoder "${name}".${near ? ` Did you mean "${near}"?` : ''} Text encoders: ${names.join(', ')}.`,
    EXIT_CODES.usage,
  );
}
