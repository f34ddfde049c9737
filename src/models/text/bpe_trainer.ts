// SPDX-License-Identifier: Apache-2.0
import { AlignedText } from './aligned_text.js';
import { BYTE_CHARS } from './byte_level.js';
import { lowercase } from './normalizers.js';
import { byteLevel } from './pre_tokenizers.js';

export interface BpeTrainerOptions {
  /** Tokens of the result, special ones and the 256 bytes included. */
  vocabSize: number;
  /** Pairs seen less often are not merged (default 2). */
  minFrequency?: number;
  /** Reads upper case as lower case; offsets still point into the text as typed (default true). */
  lowercase?: boolean;
  /** Gives the first word the space that other words have before them, so that it has the same tokens (default true). */
  addPrefixSpace?: boolean;
}

/** RoBERTa's special tokens in the order of their ids. */
const SPECIALS = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'] as const;

/** A word of the corpus as symbols, and how often it occurs. */
interface CorpusWord {
  symbols: number[];
  count: number;
}

/**
 * Trains a byte-level BPE tokenizer (Sennrich et al. 2016, Radford et al. 2019) and returns it as the content of a
 * Hugging Face `tokenizer.json` with RoBERTa's special tokens. Every text can be encoded: all 256 bytes are tokens.
 *
 * Deterministic: the most frequent pair is merged first; among equal ones the pair of lower ids, as `tokenizers` does.
 *
 * @param texts lines of the corpus
 */
export function trainBpe(texts: Iterable<string>, options: BpeTrainerOptions): Record<string, unknown> {
  const { vocabSize, minFrequency = 2 } = options;
  const lowers = options.lowercase ?? true;
  const prefix = options.addPrefixSpace ?? true;
  const alphabet = [...BYTE_CHARS].sort();
  const tokens: string[] = [...SPECIALS, ...alphabet];
  if (!Number.isInteger(vocabSize) || vocabSize < tokens.length) {
    throw new RangeError(
      `[trainBpe] expected at least ${tokens.length} for vocabSize (special tokens and bytes) but received ${vocabSize}`,
    );
  }
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const words = [...countWords(texts, lowers, prefix)].map(
    ([word, count]): CorpusWord => ({ symbols: [...word].map((char) => idOf.get(char)!), count }),
  );
  const merges: [string, string][] = [];
  const pairs = new PairTable(words);
  while (tokens.length < vocabSize) {
    const best = pairs.best();
    if (!best || best.count < Math.max(1, minFrequency)) break;
    const merged = tokens[best.left]! + tokens[best.right]!;
    merges.push([tokens[best.left]!, tokens[best.right]!]);
    let id = idOf.get(merged);
    if (id === undefined) {
      id = tokens.push(merged) - 1;
      idOf.set(merged, id);
    }
    pairs.merge(best.left, best.right, id);
  }
  return tokenizerJson(tokens, merges, lowers, prefix);
}

function countWords(texts: Iterable<string>, lowers: boolean, prefix: boolean): Map<string, number> {
  const split = byteLevel(prefix, true);
  const counts = new Map<string, number>();
  for (const text of texts) {
    const aligned = AlignedText.of(text);
    for (const { text: word } of split(lowers ? lowercase(aligned) : aligned)) {
      if (word !== '') counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return counts;
}

interface Pair {
  left: number;
  right: number;
  count: number;
  /** Numbers of the words that hold (or once held) the pair. */
  words: Set<number>;
}

/** How often each pair of neighbouring symbols occurs, kept up to date while pairs are merged. */
class PairTable {
  private readonly pairs = new Map<string, Pair>();

  constructor(private readonly words: CorpusWord[]) {
    words.forEach((_, w) => {
      this.count(w, 1);
    });
  }

  /** The most frequent pair; of equal ones the first by its ids. */
  best(): Pair | null {
    let best: Pair | null = null;
    for (const pair of this.pairs.values()) {
      if (!best || pair.count > best.count || (pair.count === best.count && isBefore(pair, best)))
        best = pair;
    }
    return best;
  }

  merge(left: number, right: number, id: number): void {
    const { words } = this.pairs.get(`${left} ${right}`)!;
    for (const w of words) {
      this.count(w, -1);
      const word = this.words[w]!;
      word.symbols = mergeSymbols(word.symbols, left, right, id);
      this.count(w, 1);
    }
    for (const [key, pair] of this.pairs) if (pair.count === 0) this.pairs.delete(key);
  }

  /** Adds (or takes away) the pairs of one word. */
  private count(w: number, sign: 1 | -1): void {
    const { symbols, count } = this.words[w]!;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const [left, right] = [symbols[i]!, symbols[i + 1]!];
      const key = `${left} ${right}`;
      let pair = this.pairs.get(key);
      if (!pair) {
        pair = { left, right, count: 0, words: new Set() };
        this.pairs.set(key, pair);
      }
      pair.count += sign * count;
      pair.words.add(w);
    }
  }
}

function isBefore(a: Pair, b: Pair): boolean {
  return a.left < b.left || (a.left === b.left && a.right < b.right);
}

function mergeSymbols(symbols: readonly number[], left: number, right: number, id: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const joins = symbols[i] === left && symbols[i + 1] === right;
    result.push(joins ? id : symbols[i]!);
    if (joins) i++;
  }
  return result;
}

/** The file's content; its offsets are trimmed to the words without the spaces before them. */
function tokenizerJson(
  tokens: readonly string[],
  merges: [string, string][],
  lowers: boolean,
  prefix: boolean,
): Record<string, unknown> {
  const byteLevelNode = { type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: content === '<mask>',
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: lowers ? { type: 'Lowercase' } : null,
    pre_tokenizer: byteLevelNode,
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['</s>', 2],
      cls: ['<s>', 0],
      trim_offsets: true,
      add_prefix_space: prefix,
    },
    decoder: { ...byteLevelNode, add_prefix_space: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
