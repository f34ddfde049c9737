// SPDX-License-Identifier: Apache-2.0
import type { JsonNode } from './json_node.js';
import type { TokenModel, WordToken } from './token_model.js';
import { readVocabulary } from './vocabulary.js';

/** Longest pieces first; a word with a part that is in no piece is unknown as a whole. Source: BERT (Devlin et al. 2019). */
export class WordPieceModel implements TokenModel {
  private constructor(
    readonly vocabulary: ReadonlyMap<string, number>,
    private readonly unkToken: string,
    private readonly prefix: string,
    private readonly maxChars: number,
  ) {}

  /** Reads the `model` of a `tokenizer.json`. */
  static read(node: JsonNode): WordPieceModel {
    const vocabulary = readVocabulary(node.field('vocab'));
    const unkToken = node.optional('unk_token')?.string() ?? '[UNK]';
    if (!vocabulary.has(unkToken)) node.field('unk_token').fail(`'${unkToken}' is not in the vocabulary`);
    return new WordPieceModel(
      vocabulary,
      unkToken,
      node.optional('continuing_subword_prefix')?.string() ?? '##',
      node.optional('max_input_chars_per_word')?.count() ?? 100,
    );
  }

  tokenize(word: string): WordToken[] {
    const chars = [...word];
    const unknown = [
      { id: this.vocabulary.get(this.unkToken)!, value: this.unkToken, start: 0, end: chars.length },
    ];
    if (chars.length > this.maxChars) return unknown;
    const tokens: WordToken[] = [];
    for (let start = 0; start < chars.length; start = tokens.at(-1)!.end) {
      const token = this.longest(chars, start);
      if (!token) return unknown;
      tokens.push(token);
    }
    return tokens;
  }

  private longest(chars: readonly string[], start: number): WordToken | null {
    for (let end = chars.length; end > start; end--) {
      const value = (start > 0 ? this.prefix : '') + chars.slice(start, end).join('');
      const id = this.vocabulary.get(value);
      if (id !== undefined) return { id, value, start, end };
    }
    return null;
  }
}
