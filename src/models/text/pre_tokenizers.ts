// SPDX-License-Identifier: Apache-2.0
import type { AlignedText, SplitBehavior } from './aligned_text.js';
import { toByteChars, WORDS } from './byte_level.js';
import type { JsonNode } from './json_node.js';
import { escapeLiteral, readPattern } from './pattern.js';
import { PUNCTUATION, WHITE_SPACE } from './unicode.js';

/** Splits a normalised text into the words that the model sees one by one. */
export type PreTokenizer = (piece: AlignedText) => AlignedText[];

const SPACES = new RegExp(WHITE_SPACE.source, 'gu');
const SIGNS = new RegExp(PUNCTUATION.source, 'gu');
const DIGITS = /\p{N}/gu;
const WORD_OR_SIGNS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

const BEHAVIORS: readonly SplitBehavior[] = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
];

/** Pre-tokenizers by their `type` in `tokenizer.json`. */
const PRE_TOKENIZERS: Readonly<Record<string, (node: JsonNode) => PreTokenizer>> = {
  ByteLevel: (node) =>
    byteLevel(node.field('add_prefix_space').boolean(true), node.field('use_regex').boolean(true)),
  BertPreTokenizer: () => (piece) =>
    piece.split(SPACES, 'Removed').flatMap((word) => word.split(SIGNS, 'Isolated')),
  Whitespace: () => (piece) => piece.split(WORD_OR_SIGNS, 'Removed', true),
  WhitespaceSplit: () => (piece) => piece.split(SPACES, 'Removed'),
  Punctuation: (node) => {
    const behavior = node.optional('behavior') ? readBehavior(node.field('behavior')) : 'Isolated';
    return (piece) => piece.split(SIGNS, behavior);
  },
  Digits: (node) => {
    const behavior = node.field('individual_digits').boolean(false) ? 'Isolated' : 'Contiguous';
    return (piece) => piece.split(DIGITS, behavior);
  },
  CharDelimiterSplit: (node) => {
    const pattern = new RegExp(escapeLiteral(node.field('delimiter').string()), 'gu');
    return (piece) => piece.split(pattern, 'Removed');
  },
  Split: (node) => {
    const pattern = readPattern(node.field('pattern'));
    const behavior = readBehavior(node.field('behavior'));
    const invert = node.field('invert').boolean(false);
    return (piece) => piece.split(pattern, behavior, invert);
  },
  Sequence: (node) => {
    const all = node.field('pretokenizers').items().map(readPreTokenizer);
    return (piece) => all.reduce((pieces, split) => pieces.flatMap(split), [piece]);
  },
};

/** @throws UserError for a type that is not in the table above. */
export function readPreTokenizer(node: JsonNode): PreTokenizer {
  return node.choose(PRE_TOKENIZERS, 'pre-tokenizer')(node);
}

/**
 * GPT-2's splitting, and every byte as one printable character.
 * @param addPrefixSpace whether a text that begins without a space gets one, so that its first word is a word like others
 */
export function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  return (piece) => {
    const spaced = addPrefixSpace && piece.chars[0] !== ' ' ? piece.prepend(' ') : piece;
    const words = useRegex ? spaced.split(WORDS, 'Isolated') : [spaced];
    return words.map(toByteChars);
  };
}

function readBehavior(node: JsonNode): SplitBehavior {
  const name = node.string();
  const behavior = BEHAVIORS.find((candidate) => candidate === name);
  return behavior ?? node.fail(`unknown behavior '${name}'; known: ${BEHAVIORS.join(', ')}`);
}
