// SPDX-License-Identifier: Apache-2.0
import { fromByteChars } from './byte_level.js';
import type { JsonNode } from './json_node.js';

/** Turns tokens back into text. */
export type Decoder = (tokens: readonly string[]) => string;

/** What is done where a file has no decoder. */
export const JOIN_BY_SPACES: Decoder = (tokens) => tokens.join(' ');

/** Decoders by their `type` in `tokenizer.json`. */
const DECODERS: Readonly<Record<string, (node: JsonNode) => Decoder>> = {
  ByteLevel: () => fromByteChars,
  WordPiece: (node) => {
    const prefix = node.optional('prefix')?.string() ?? '##';
    const cleans = node.field('cleanup').boolean(true);
    return (tokens) => tokens.map((token, i) => wordPiece(token, i, prefix, cleans)).join('');
  },
  BPEDecoder: (node) => {
    const suffix = node.optional('suffix')?.string() ?? '</w>';
    return (tokens) =>
      tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' ')).join('');
  },
};

/** @throws UserError for a type that is not in the table above. */
export function readDecoder(node: JsonNode): Decoder {
  return node.choose(DECODERS, 'decoder')(node);
}

/** Spaces that tokenizing put before signs and endings, and what is written instead; applied in this order. */
const CLEANUPS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function wordPiece(token: string, index: number, prefix: string, cleans: boolean): string {
  let text = token;
  if (index > 0) text = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
  return cleans ? CLEANUPS.reduce((result, [from, to]) => result.replaceAll(from, to), text) : text;
}
