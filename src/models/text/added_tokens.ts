// SPDX-License-Identifier: Apache-2.0
import type { AlignedText } from './aligned_text.js';
import type { JsonNode } from './json_node.js';
import { type Normalizer, normaliseString } from './normalizers.js';
import { escapeLiteral } from './pattern.js';

/** A token that is found in the text before anything else is done with it. */
export interface AddedToken {
  id: number;
  content: string;
  /** Only where no word character touches it. */
  singleWord: boolean;
  /** Takes the white space before it. */
  lstrip: boolean;
  /** Takes the white space after it. */
  rstrip: boolean;
  /** Looked for in the normalised text. */
  normalized: boolean;
  special: boolean;
}

/** A piece of text, and the token it is if it is one. */
export interface Extracted {
  piece: AlignedText;
  token: AddedToken | null;
}

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE_BEFORE = /\p{White_Space}*$/u;
const SPACE_AFTER = /^\p{White_Space}*/u;

/**
 * The `added_tokens` of a tokenizer file.
 * @param vocabulary of the model, whose ids count for tokens that are in both
 */
export function readAddedTokens(node: JsonNode, vocabulary: ReadonlyMap<string, number>): AddedToken[] {
  return node.items().map((item) => {
    const id = item.field('id').count();
    const content = item.field('content').string();
    return {
      id: vocabulary.get(content) ?? id,
      content,
      singleWord: item.field('single_word').boolean(false),
      lstrip: item.field('lstrip').boolean(false),
      rstrip: item.field('rstrip').boolean(false),
      normalized: item.field('normalized').boolean(true),
      special: item.field('special').boolean(false),
    };
  });
}

/** Finds tokens in pieces of text; where several begin at one place the longest is taken. */
export class TokenFinder {
  private readonly pattern: RegExp | null;
  private readonly byPattern: Map<string, AddedToken>;

  constructor(tokens: readonly AddedToken[], normalizer: Normalizer | null) {
    this.byPattern = new Map(tokens.map((token) => [normaliseString(token.content, normalizer), token]));
    this.byPattern.delete('');
    const longestFirst = [...this.byPattern.keys()].sort((a, b) => b.length - a.length);
    this.pattern = longestFirst.length ? new RegExp(longestFirst.map(escapeLiteral).join('|'), 'gu') : null;
  }

  split(piece: AlignedText): Extracted[] {
    if (!this.pattern) return piece.length ? [{ piece, token: null }] : [];
    const { chars } = piece;
    const result: Extracted[] = [];
    let done = 0;
    for (const match of piece.matches(this.pattern)) {
      if (!match.matched) continue;
      let { start, end } = match;
      const token = this.byPattern.get(chars.slice(start, end).join(''))!;
      const before = chars.slice(0, start).join('');
      const after = chars.slice(end).join('');
      if (token.singleWord && (WORD_BEFORE.test(before) || WORD_AFTER.test(after))) continue;
      // White space is never outside the basic plane: its characters are its UTF-16 units.
      if (token.lstrip) start = Math.max(done, start - SPACE_BEFORE.exec(before)![0].length);
      if (token.rstrip) end += SPACE_AFTER.exec(after)![0].length;
      if (done < start) result.push({ piece: piece.slice(done, start), token: null });
      result.push({ piece: piece.slice(start, end), token });
      done = end;
    }
    if (done < chars.length) result.push({ piece: piece.slice(done, chars.length), token: null });
    return result;
  }
}
