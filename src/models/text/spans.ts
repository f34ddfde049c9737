// SPDX-License-Identifier: Apache-2.0
import type { Span } from '../types.js';
import { type Encoding, unitIndex } from './encoding.js';

/** Token positions that MDETR's classifier has room for. */
export const SLOTS = 256;

/** MDETR divides by the sum plus this. */
const EPSILON = 1e-6;

/** First token that covers the character, or -1. */
function tokenAt(offsets: readonly Span[], character: number): number {
  return offsets.findIndex(([begin, end]) => character >= begin && character < end);
}

/** Tokens `first` to `last` (inclusive) of a span; null where it begins or ends too far from any token. */
function tokenRange(offsets: readonly Span[], [begin, end]: Span): [number, number] | null {
  // A span that begins or ends on white space is moved inward by one, then by two characters.
  const find = (characters: number[]) => characters.map((c) => tokenAt(offsets, c)).find((t) => t >= 0);
  const first = find([begin, begin + 1, begin + 2]);
  const last = find([end - 1, end - 2, end - 3]);
  return first === undefined || last === undefined ? null : [first, last];
}

/** Tokens that name what `spans` (code points) cover, rising. Source: MDETR's `create_positive_map`. */
export function tokensOfSpans(encoding: Pick<Encoding, 'offsets'>, spans: readonly Span[]): number[] {
  const tokens = new Set<number>();
  for (const span of spans) {
    const range = tokenRange(encoding.offsets, span);
    for (let t = range?.[0] ?? 0; t <= (range?.[1] ?? -1); t++) tokens.add(t);
  }
  return [...tokens].sort((a, b) => a - b);
}

/**
 * Which tokens name which object, as a distribution: rows sum to 1, or to 0 where no token was found.
 * Source: MDETR (Kamath et al. 2021), `create_positive_map`.
 *
 * @param offsets stretch of each token in code points
 * @param spans per object, the stretches of the caption that name it, in code points
 * @param slots columns; tokens beyond them are dropped
 * @returns row-major `[objects, slots]`
 */
export function positiveMap(
  offsets: readonly Span[],
  spans: readonly (readonly Span[])[],
  slots = SLOTS,
): Float32Array {
  const map = new Float32Array(spans.length * slots);
  spans.forEach((own, object) => {
    const tokens = tokensOfSpans({ offsets }, own).filter((t) => t < slots);
    const share = Math.fround(1 / Math.fround(tokens.length + EPSILON));
    for (const token of tokens) map[object * slots + token] = share;
  });
  return map;
}

/** Positive maps as MDETR's batching makes them: 1 where there was any share, so a row sums to its number of tokens. */
export function booleanMap(map: ArrayLike<number>): Float32Array {
  return Float32Array.from(map, (value) => (value > 0 ? 1 : 0));
}

/** A part of the user's own sentence. */
export interface Phrase {
  /** Exactly as typed. */
  text: string;
  /** In code points. */
  span: Span;
  /** In UTF-16 units: `caption.slice(...span16)` is `text`. */
  span16: Span;
  /** Highest score of its tokens. */
  score: number;
}

/**
 * The words of a caption whose tokens score above a threshold: whole words, and neighbours joined to one phrase.
 * Special tokens, padding and signs between words name nothing.
 *
 * @param caption the text that was encoded
 * @param encoding its tokens
 * @param scores one a token; more than there are tokens (a classifier's slots) are ignored
 * @param threshold tokens above it count
 * @returns phrases in the order of the caption, empty if no token scores above the threshold
 */
export function phraseOfTokens(
  caption: string,
  encoding: Pick<Encoding, 'offsets' | 'specialTokensMask'>,
  scores: ArrayLike<number>,
  threshold: number,
): Phrase[] {
  const words = wordsOf(caption);
  const best = words.map(([begin, end]) => {
    let score = Number.NEGATIVE_INFINITY;
    encoding.offsets.forEach(([tokenBegin, tokenEnd], t) => {
      if (encoding.specialTokensMask[t] || t >= scores.length) return;
      if (tokenBegin < end && tokenEnd > begin) score = Math.max(score, scores[t]!);
    });
    return score;
  });
  const chars = [...caption];
  const toUnit = unitIndex(caption);
  const phrases: Phrase[] = [];
  let open = false;
  words.forEach(([begin, end], w) => {
    const score = best[w]!;
    if (!(score > threshold)) {
      open = false;
      return;
    }
    const last = phrases.at(-1);
    const joins = open && last && /^\p{White_Space}*$/u.test(chars.slice(last.span[1], begin).join(''));
    const from = joins ? last.span[0] : begin;
    if (joins) phrases.pop();
    phrases.push({
      text: chars.slice(from, end).join(''),
      span: [from, end],
      span16: [toUnit(from), toUnit(end)],
      score: joins ? Math.max(last.score, score) : score,
    });
    open = true;
  });
  return phrases;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'word' });

/**
 * Words of a text in code points. What a hyphen or an apostrophe joins is one word; scripts without spaces are cut into
 * words by a dictionary; a picture sign is a word, punctuation is none.
 */
export function wordsOf(text: string): Span[] {
  const words: Span[] = [];
  let position = 0;
  let joins = false;
  for (const { segment } of segmenter.segment(text)) {
    const end = position + [...segment].length;
    const last = words.at(-1);
    if (/[\p{L}\p{N}\p{M}\p{S}]/u.test(segment)) {
      if (joins && last) words[words.length - 1] = [last[0], end];
      else words.push([position, end]);
      joins = false;
    } else {
      joins = /^['’‐‑-]$/u.test(segment) && last?.[1] === position;
    }
    position = end;
  }
  return words;
}
