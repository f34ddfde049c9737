// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import { BertEncoder } from './bert.js';
import { BERT_DEFAULTS, BERT_VARIANTS } from './bert_config.js';
import { checkTextEncoderConfig, type TextEncoderConfig } from './encoder_config.js';
import { RobertaEncoder } from './roberta.js';
import { ROBERTA_DEFAULTS, ROBERTA_VARIANTS } from './roberta_config.js';
import type { TransformerTextEncoder } from './transformer_encoder.js';

/** A family of text encoders. */
interface TextEncoderFamily {
  /** What keys that are left out have. */
  defaults: TextEncoderConfig;
  /** Published sizes by name. */
  variants: Readonly<Record<string, Partial<TextEncoderConfig>>>;
  build(settings: Partial<TextEncoderConfig>): TransformerTextEncoder;
}

/** Text encoders by the `model_type` of their `config.json`. A new family is a file and a row here. */
const TEXT_ENCODERS: Readonly<Record<string, TextEncoderFamily>> = {
  roberta: {
    defaults: ROBERTA_DEFAULTS,
    variants: ROBERTA_VARIANTS,
    build: (settings) => new RobertaEncoder(settings),
  },
  bert: {
    defaults: BERT_DEFAULTS,
    variants: BERT_VARIANTS,
    build: (settings) => new BertEncoder(settings),
  },
};

/**
 * A text encoder with fresh weights.
 *
 * @param name a family (`roberta`, `bert`: the `model_type` of a `config.json`) or one of its sizes (`distilroberta-base`,
 *   `minilm-l6`)
 * @param config the other keys of its `config.json`; those that mean nothing here are passed over
 * @throws UserError for a name that is not known and for a value of the wrong kind
 */
export function buildTextEncoder(name: string, config: object): TransformerTextEncoder {
  const { family, variant } = find(name);
  const settings = { ...variant, ...config };
  checkTextEncoderConfig(family.defaults, settings, `text encoder ${name}`, false);
  return family.build(settings);
}

/** Every family, by the `model_type` of its `config.json`. */
export function textFamilies(): string[] {
  return Object.keys(TEXT_ENCODERS);
}

/** Checks that a text encoder can be made of these settings. @throws UserError that begins with `source` */
export function checkTextEncoder(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  source: string,
): void {
  const { family, variant } = find(name);
  checkTextEncoderConfig(family.defaults, { ...variant, ...settings }, source, true);
}

/** All settings of a text encoder, those that are left out filled in. @throws UserError for a name that is not known */
export function textEncoderSettings(name: string, settings: Partial<TextEncoderConfig>): TextEncoderConfig {
  const { family, variant } = find(name);
  return { ...family.defaults, ...variant, ...settings };
}

/** Names of all published sizes, family by family. */
export function textEncoderSizes(): string[] {
  return Object.values(TEXT_ENCODERS).flatMap(({ variants }) => Object.keys(variants));
}

/** The family that a name or size belongs to. @throws UserError for a name that is not known */
export function textEncoderFamily(name: string): string {
  const { family } = find(name);
  return Object.keys(TEXT_ENCODERS).find((own) => TEXT_ENCODERS[own] === family)!;
}

function find(name: string): { family: TextEncoderFamily; variant: Partial<TextEncoderConfig> } {
  for (const [own, family] of Object.entries(TEXT_ENCODERS)) {
    if (name === own) return { family, variant: {} };
    if (Object.hasOwn(family.variants, name)) return { family, variant: family.variants[name]! };
  }
  const names = Object.entries(TEXT_ENCODERS).flatMap(([own, { variants }]) => [
    own,
    ...Object.keys(variants),
  ]);
  const near = didYouMean(name, names);
  throw new UserError(
    `There is no text encoder "${name}".${near ? ` Did you mean "${near}"?` : ''} Text encoders: ${names.join(', ')}.`,
    EXIT_CODES.usage,
  );
}
