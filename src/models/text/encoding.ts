// SPDX-License-Identifier: Apache-2.0
import type { Span } from '../types.js';

/** A text as token ids. All lists have one entry a token. */
export interface Encoding {
  ids: number[];
  tokens: string[];
  /** The stretch of the text each token stands for, in code points; [0, 0] for special tokens. */
  offsets: readonly Span[];
  /** The same in UTF-16 units, as JavaScript's `slice` counts. */
  offsets16: readonly Span[];
  /** Number of the word a token belongs to, null for special tokens. */
  words: (number | null)[];
  /** 0 for tokens of the text, 1 for those of its pair, null for special tokens. */
  sequences: (0 | 1 | null)[];
  typeIds: number[];
  /** 1 = real, 0 = padding. */
  attentionMask: number[];
  /** 1 = not from the text. */
  specialTokensMask: number[];
  /** Whether tokens were left out because the text was too long. */
  truncated: boolean;
  /** How many tokens were left out. */
  overflow: number;
}

/** One token on its way into an Encoding. */
export interface Token {
  id: number;
  value: string;
  /** Code points. */
  begin: number;
  end: number;
  word: number | null;
  typeId: number;
  sequence: 0 | 1 | null;
}

/** A token that stands for no text. */
export function specialToken(id: number, value: string, typeId = 0): Token {
  return { id, value, begin: 0, end: 0, word: null, typeId, sequence: null };
}

/** The Encoding of `tokens`. @param texts the text and its pair, if it has one */
export function toEncoding(tokens: readonly Token[], texts: readonly string[], overflow: number): Encoding {
  const toUnits = texts.map(unitIndex);
  return {
    ids: tokens.map(({ id }) => id),
    tokens: tokens.map(({ value }) => value),
    offsets: tokens.map(({ begin, end }) => [begin, end]),
    offsets16: tokens.map(({ begin, end, sequence }) => {
      if (sequence === null) return [begin, end];
      return [toUnits[sequence]!(begin), toUnits[sequence]!(end)];
    }),
    words: tokens.map(({ word }) => word),
    sequences: tokens.map(({ sequence }) => sequence),
    typeIds: tokens.map(({ typeId }) => typeId),
    attentionMask: tokens.map(() => 1),
    specialTokensMask: tokens.map(({ sequence }) => (sequence === null ? 1 : 0)),
    truncated: overflow > 0,
    overflow,
  };
}

/** Code point position to UTF-16 position in `text`. */
export function unitIndex(text: string): (codePoint: number) => number {
  const units = [0];
  let hasWide = false;
  for (const char of text) {
    units.push(units.at(-1)! + char.length);
    hasWide ||= char.length > 1;
  }
  return hasWide ? (at) => units[at] ?? text.length : (at) => at;
}

/** What a padding token looks like and where it goes. */
export interface Padding {
  id: number;
  token: string;
  typeId: number;
  side: 'left' | 'right';
}

/** `encoding` with padding up to `length` tokens; a longer one is returned as it is. */
export function pad(encoding: Encoding, length: number, padding: Padding): Encoding {
  const count = length - encoding.ids.length;
  if (count <= 0) return encoding;
  const fill = <T>(values: readonly T[], make: () => T): T[] => {
    const added = Array.from({ length: count }, make);
    return padding.side === 'left' ? [...added, ...values] : [...values, ...added];
  };
  return {
    ...encoding,
    ids: fill(encoding.ids, () => padding.id),
    tokens: fill(encoding.tokens, () => padding.token),
    offsets: fill(encoding.offsets, () => [0, 0]),
    offsets16: fill(encoding.offsets16, () => [0, 0]),
    words: fill(encoding.words, () => null),
    sequences: fill(encoding.sequences, () => null),
    typeIds: fill(encoding.typeIds, () => padding.typeId),
    attentionMask: fill(encoding.attentionMask, () => 0),
    specialTokensMask: fill(encoding.specialTokensMask, () => 1),
  };
}

/**
 * Lengths to which a text of `first` tokens and its pair of `second` tokens are cut to be `limit` together: the longer
 * one is cut first, then both evenly.
 */
export function truncatedLengths(first: number, second: number, limit: number): [number, number] {
  if (first + second <= limit) return [first, second];
  const shorter = Math.min(first, second);
  const longer = shorter > limit ? shorter : Math.max(shorter, limit - shorter);
  const [a, b] =
    shorter + longer > limit
      ? [Math.floor(limit / 2), Math.floor(limit / 2) + (limit % 2)]
      : [shorter, longer];
  return first > second ? [b, a] : [a, b];
}
