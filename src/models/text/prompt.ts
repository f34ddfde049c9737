// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { Encoding } from './encoding.js';
import type { Tokenizer } from './tokenizer.js';

export interface PromptOptions {
  /** Most tokens, special ones included: the encoder's `maxTokens`. */
  maxTokens: number;
  /** What a text must end with; it is added where it does not stand there. */
  closing?: string;
  /** Cut a longer prompt (its encoding says so) instead of refusing it. Default false. */
  truncate?: boolean;
}

/** @throws UserError for a prompt without words */
export function requirePrompt(prompt: string): void {
  if (prompt.trim() !== '') return;
  throw new UserError(
    'The prompt is empty. Say what to look for, e.g. "white boats at the pier".',
    EXIT_CODES.data,
  );
}

/**
 * A user's sentence as tokens.
 * @throws UserError for an empty prompt and, unless it may be cut, for one that is longer than the encoder takes
 */
export function encodePrompt(prompt: string, tokenizer: Tokenizer, options: PromptOptions): Encoding {
  requirePrompt(prompt);
  const { maxTokens, closing } = options;
  const text = closing === undefined || prompt.trimEnd().endsWith(closing) ? prompt : prompt + closing;
  const encoding = tokenizer.encode(text, options.truncate ? { maxLength: maxTokens } : {});
  if (encoding.ids.length > maxTokens) {
    throw new UserError(
      `The prompt has ${encoding.ids.length} tokens, but this model reads at most ${maxTokens}. ` +
        'Shorten it, or ask for its parts one after the other.',
      EXIT_CODES.data,
    );
  }
  return encoding;
}
