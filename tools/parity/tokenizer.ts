// SPDX-License-Identifier: Apache-2.0
import { type Encoding, Tokenizer } from '../../src/models/text/index.js';
import type { CaseContext } from './context.js';

interface StringCase {
  text: string;
  ids: number[];
  offsets: [number, number][];
  offsets16: [number, number][];
  words: (number | null)[];
  plain: number[];
  decoded: string;
  decoded_all: string;
}

interface PairCase {
  text: [string, string];
  ids: number[];
  offsets: [number, number][];
  words: (number | null)[];
  sequences: (number | null)[];
}

interface BatchCase {
  texts: string[];
  max_length: number | null;
  pad: 'longest' | 'max_length' | 'none';
  ids: number[][];
  attention_mask: number[][];
}

interface TokenizerCases {
  strings: StringCase[];
  pairs: PairCase[];
  batches: BatchCase[];
}

/** Every string, pair and batch; one comparison for each property of each, exact. */
export async function runTokenizer(context: CaseContext): Promise<void> {
  const tokenizer = await Tokenizer.fromFile(context.fileLike('tokenizer.json'));
  const casesFile = context.entry.files.find((file) => file.endsWith('_cases.json'))!;
  const cases = context.json<TokenizerCases>(casesFile);
  const known = new Set(['strings', 'pairs', 'batches']);
  for (const key of Object.keys(cases)) {
    if (!known.has(key)) context.check(key, false, `unknown list "${key}" of tokenizer cases`);
  }
  const size = context.config.vocab_size;
  if (typeof size === 'number') context.compareNumber('vocab_size', tokenizer.vocabularySize, size, 0);
  for (const entry of cases.strings) checkString(context, tokenizer, entry);
  for (const entry of cases.pairs) {
    const { text, ...stored } = entry;
    checkFields(context, text.join(' | '), { ...tokenizer.encode(text[0], { pair: text[1] }) }, stored);
  }
  for (const entry of cases.batches) checkBatch(context, tokenizer, entry);
}

function checkString(context: CaseContext, tokenizer: Tokenizer, entry: StringCase): void {
  const { text, ...stored } = entry;
  const encoding: Encoding = tokenizer.encode(text);
  const got = {
    ...encoding,
    plain: tokenizer.encode(text, { addSpecialTokens: false }).ids,
    decoded: tokenizer.decode(encoding.ids),
    decoded_all: tokenizer.decode(encoding.ids, { skipSpecialTokens: false }),
  };
  checkFields(context, text, got, stored);
}

function checkBatch(context: CaseContext, tokenizer: Tokenizer, entry: BatchCase): void {
  const { texts, max_length: maxLength, pad, ...stored } = entry;
  const rows = tokenizer.encodeBatch(texts, {
    ...(maxLength ? { maxLength } : {}),
    padding: pad === 'none' ? false : pad === 'max_length' ? 'max' : pad,
  });
  const got = {
    ids: rows.map(({ ids }) => ids),
    attention_mask: rows.map(({ attentionMask }) => attentionMask),
  };
  checkFields(context, `batch of ${texts.length}`, got, stored);
}

/** Every stored field must be there and equal. */
function checkFields(context: CaseContext, text: string, got: object, stored: object): void {
  for (const [field, expected] of Object.entries(stored)) {
    const value = (got as Record<string, unknown>)[field];
    const [a, b] = [JSON.stringify(value), JSON.stringify(expected)];
    const title = `${field} of ${JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)}`;
    context.check(title, a === b, `${shorten(a)} instead of ${shorten(b)}`);
  }
}

function shorten(text: string | undefined): string {
  return text === undefined ? 'nothing' : text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
