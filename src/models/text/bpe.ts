// SPDX-License-Identifier: Apache-2.0
import type { JsonNode } from './json_node.js';
import type { TokenModel, WordToken } from './token_model.js';
import { readVocabulary } from './vocabulary.js';

/** Words whose tokens are remembered before the memory is cleared. */
const REMEMBERED_WORDS = 10_000;

export interface BpeOptions {
  unkToken: string | null;
  /** Joins neighbouring unknown characters into one unknown token. */
  fuseUnk: boolean;
  /** Written before every symbol of a word but the first. */
  continuingSubwordPrefix: string;
  /** Written after the last symbol of a word. */
  endOfWordSuffix: string;
  /** Takes a word that is itself in the vocabulary whole. */
  ignoreMerges: boolean;
}

/** A symbol of a word. */
interface WordSymbol {
  id: number;
  /** Characters of the word. */
  start: number;
  end: number;
  /** Place of the next symbol, -1 after the last. */
  next: number;
  /** Rank of the merge with the next symbol, Infinity if there is none. */
  rank: number;
}

/** Byte pair encoding. Source: Sennrich et al. 2016. */
export class BpeModel implements TokenModel {
  private readonly remembered = new Map<string, WordToken[]>();
  private readonly tokens: string[] = [];
  private readonly unkId: number | null;

  /**
   * @param vocabulary token to id
   * @param ranks rank by `left id * size + right id`
   * @param merged id of the token that the merge of each rank gives
   */
  private constructor(
    readonly vocabulary: ReadonlyMap<string, number>,
    private readonly size: number,
    private readonly ranks: ReadonlyMap<number, number>,
    private readonly merged: readonly number[],
    private readonly options: BpeOptions,
  ) {
    for (const [token, id] of vocabulary) this.tokens[id] = token;
    this.unkId = options.unkToken === null ? null : (vocabulary.get(options.unkToken) ?? null);
  }

  /** Reads the `model` of a `tokenizer.json`. */
  static read(node: JsonNode): BpeModel {
    if (node.field('byte_fallback').boolean(false)) {
      node.fail('byte_fallback (SentencePiece tokenizers) is not supported; use a byte-level tokenizer');
    }
    const vocabulary = readVocabulary(node.field('vocab'));
    const options: BpeOptions = {
      unkToken: node.optional('unk_token')?.string() ?? null,
      fuseUnk: node.field('fuse_unk').boolean(false),
      continuingSubwordPrefix: node.optional('continuing_subword_prefix')?.string() ?? '',
      endOfWordSuffix: node.optional('end_of_word_suffix')?.string() ?? '',
      ignoreMerges: node.field('ignore_merges').boolean(false),
    };
    if (options.unkToken !== null && !vocabulary.has(options.unkToken)) {
      node.field('unk_token').fail(`'${options.unkToken}' is not in the vocabulary`);
    }
    const size = Math.max(0, ...vocabulary.values()) + 1;
    const ranks = new Map<number, number>();
    const merged: number[] = [];
    node
      .field('merges')
      .items()
      .forEach((merge, rank) => {
        const [left, right] = readMerge(merge);
        const whole = left + right.slice(options.continuingSubwordPrefix.length);
        const ids = [left, right, whole].map((token) => {
          return vocabulary.get(token) ?? merge.fail(`'${token}' is not in the vocabulary`);
        });
        ranks.set(ids[0]! * size + ids[1]!, rank);
        merged.push(ids[2]!);
      });
    return new BpeModel(vocabulary, size, ranks, merged, options);
  }

  tokenize(word: string): WordToken[] {
    const known = this.remembered.get(word);
    if (known) return known;
    const tokens = this.tokenizeAnew(word);
    if (this.remembered.size >= REMEMBERED_WORDS) this.remembered.clear();
    this.remembered.set(word, tokens);
    return tokens;
  }

  private tokenizeAnew(word: string): WordToken[] {
    const whole = this.options.ignoreMerges ? this.vocabulary.get(word) : undefined;
    if (whole !== undefined) return [{ id: whole, value: word, start: 0, end: [...word].length }];
    const symbols = this.symbols(word);
    this.mergeAll(symbols);
    const result: WordToken[] = [];
    for (let symbol = symbols[0]; symbol; symbol = symbols[symbol.next]) {
      result.push({ id: symbol.id, value: this.tokens[symbol.id]!, start: symbol.start, end: symbol.end });
    }
    return result;
  }

  /** One symbol a character. Without an unknown token, characters that are not in the vocabulary are left out. */
  private symbols(word: string): WordSymbol[] {
    const { continuingSubwordPrefix, endOfWordSuffix, fuseUnk } = this.options;
    const chars = [...word];
    const symbols: WordSymbol[] = [];
    let wasUnknown = false;
    chars.forEach((char, i) => {
      const symbol =
        (i > 0 ? continuingSubwordPrefix : '') + char + (i === chars.length - 1 ? endOfWordSuffix : '');
      const id = this.vocabulary.get(symbol);
      if (id === undefined && wasUnknown && fuseUnk) symbols.at(-1)!.end = i + 1;
      else if (id !== undefined || this.unkId !== null) {
        symbols.push({
          id: id ?? this.unkId!,
          start: i,
          end: i + 1,
          next: symbols.length + 1,
          rank: Infinity,
        });
      }
      wasUnknown = id === undefined && this.unkId !== null;
    });
    const last = symbols.at(-1);
    if (last) last.next = -1;
    return symbols;
  }

  /** Merges the pair of lowest rank, the leftmost of several, until no pair has a rank. */
  private mergeAll(symbols: WordSymbol[]): void {
    const rankOf = (symbol: WordSymbol): number => {
      const next = symbols[symbol.next];
      return next ? (this.ranks.get(symbol.id * this.size + next.id) ?? Infinity) : Infinity;
    };
    for (const symbol of symbols) symbol.rank = rankOf(symbol);
    for (;;) {
      let best: WordSymbol | null = null;
      let beforeBest: WordSymbol | null = null;
      let before: WordSymbol | null = null;
      for (let symbol = symbols[0]; symbol; symbol = symbols[symbol.next]) {
        if (symbol.rank < (best?.rank ?? Infinity)) {
          best = symbol;
          beforeBest = before;
        }
        before = symbol;
      }
      if (!best) return;
      const next = symbols[best.next]!;
      best.id = this.merged[best.rank]!;
      best.end = next.end;
      best.next = next.next;
      best.rank = rankOf(best);
      if (beforeBest) beforeBest.rank = rankOf(beforeBest);
    }
  }
}

/** A merge is written `["a", "b"]`, in older files `"a b"`. */
function readMerge(node: JsonNode): [string, string] {
  const parts = Array.isArray(node.value)
    ? node.items().map((part) => part.string())
    : node.string().split(' ');
  if (parts.length !== 2) node.fail('expected a merge of two tokens');
  return [parts[0]!, parts[1]!];
}
