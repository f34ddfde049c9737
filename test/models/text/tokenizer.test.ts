// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { UserError } from '../../../src/errors.js';
import { type Encoding, Tokenizer } from '../../../src/models/text/index.js';

const fixtures = 'test/fixtures';
const readJson = (path: string) => JSON.parse(readFileSync(join(fixtures, path), 'utf8'));

interface StringCase {
  text: string;
  ids: number[];
  decoded: string;
  decoded_all: string;
  plain?: number[];
}
interface PairCase {
  text: [string, string];
  limit?: number;
}
interface BatchCase {
  texts: string[];
  max_length: number | null;
  pad: 'longest' | 'max_length' | 'none';
}
interface Cases {
  strings: StringCase[];
  pairs: PairCase[];
  batches?: BatchCase[];
}

/** Of `encoding`, what the case stores, so that the two can be compared at once. */
function pick(stored: object, encoding: Encoding, extra: object = {}): object {
  const all: Record<string, unknown> = { ...encoding, ...extra };
  return Object.fromEntries(Object.keys(stored).map((key) => [key, all[key]]));
}

/** Every string and pair of a file of cases, as the Rust library encodes and decodes them. */
function expectCases(tokenizer: Tokenizer, cases: Cases): void {
  for (const stored of cases.strings) {
    const { text } = stored;
    const encoding = tokenizer.encode(text);
    const plain = tokenizer.encode(text, { addSpecialTokens: false }).ids;
    const decoded = tokenizer.decode(encoding.ids);
    const decoded_all = tokenizer.decode(encoding.ids, { skipSpecialTokens: false });
    expect(pick(stored, encoding, { text, plain, decoded, decoded_all })).toEqual(stored);
  }
  for (const stored of cases.pairs) {
    const { text, limit } = stored;
    const encoding = tokenizer.encode(text[0], {
      pair: text[1],
      ...(limit === undefined ? {} : { maxLength: limit }),
    });
    expect(pick(stored, encoding, { text, limit })).toEqual(stored);
  }
}

const robertaJson = readJson('roberta/tokenizer.json');
const roberta = Tokenizer.fromJson(robertaJson);
const wordpieceJson = readJson('wordpiece/tokenizer.json');

describe('Tokenizer equals the Rust library', () => {
  const cases: Cases = readJson('roberta/tokenizer_cases.json');

  it('on 196 strings and 5 pairs with byte-level BPE', () => {
    expect(cases.strings).toHaveLength(196);
    expectCases(roberta, cases);
  });

  it('on batches, cut and padded', () => {
    expect(cases.batches).toHaveLength(3);
    for (const { texts, max_length, pad, ...stored } of cases.batches!) {
      const rows = roberta.encodeBatch(texts, {
        ...(max_length === null ? {} : { maxLength: max_length }),
        padding: pad === 'none' ? false : pad === 'longest' ? 'longest' : 'max',
      });
      const got = { ids: rows.map((row) => row.ids), attention_mask: rows.map((row) => row.attentionMask) };
      expect(got).toEqual(stored);
    }
  });

  it('with WordPiece', () => {
    expectCases(Tokenizer.fromJson(wordpieceJson), readJson('wordpiece/cases.json'));
  });

  it('with a tokenizer that was trained here', async () => {
    const tokenizer = await Tokenizer.fromFile(join(fixtures, 'trained_bpe/tokenizer.json'));
    expectCases(tokenizer, readJson('trained_bpe/cases.json'));
  });

  const variants: (Cases & { name: string; base: 'bpe' | 'wordpiece'; patch: { model?: object } })[] =
    readJson('wordpiece/variants.json');
  it.each(variants.map((variant) => [variant.name, variant] as const))('with: %s', (_, variant) => {
    const base = variant.base === 'bpe' ? robertaJson : wordpieceJson;
    const model = { ...base.model, ...variant.patch.model };
    expectCases(Tokenizer.fromJson({ ...base, ...variant.patch, model }), variant);
  });
});

describe('Tokenizer', () => {
  it('says how many tokens it left out', () => {
    const whole = roberta.encode('the red car next to the white van');
    const cut = roberta.encode('the red car next to the white van', { maxLength: 5 });
    expect([whole.truncated, whole.overflow]).toEqual([false, 0]);
    expect([cut.truncated, cut.overflow, cut.ids.length]).toEqual([true, whole.ids.length - 5, 5]);
    expect(cut.ids.at(-1)).toBe(2);
  });

  it('does not cut by itself, even where the file asks for it', () => {
    const truncation = { direction: 'Left', max_length: 4, strategy: 'LongestFirst', stride: 0 };
    const tokenizer = Tokenizer.fromJson({ ...robertaJson, truncation });
    expect(tokenizer.encode('two large ships in the harbour').ids).toHaveLength(9);
    const cut = tokenizer.encode('two large ships in the harbour', { maxLength: 4 });
    expect(cut.ids).toEqual([0, 264, 575, 2]);
  });

  it('pads as the file says, and to a number', () => {
    const padding = {
      strategy: 'BatchLongest',
      direction: 'Left',
      pad_id: 3,
      pad_type_id: 7,
      pad_token: '<unk>',
    };
    const [row] = Tokenizer.fromJson({ ...robertaJson, padding }).encodeBatch(['a'], { padding: 5 });
    expect(row!.ids).toEqual([3, 3, 0, 69, 2]);
    expect(row!.typeIds).toEqual([7, 7, 0, 0, 0]);
    expect(row!.tokens.slice(0, 2)).toEqual(['<unk>', '<unk>']);
    expect(row!.specialTokensMask).toEqual([1, 1, 1, 0, 1]);
  });

  it('finds the token of a character, in code points', () => {
    const encoding = roberta.encode('🚢 the ship');
    expect(encoding.tokens[roberta.charToToken(encoding, 2)!]).toBe('Ġthe');
    expect(roberta.charToToken(encoding, 0)).toBe(1);
    expect(roberta.charToToken(encoding, 1)).toBeNull();
    expect(roberta.charToToken(encoding, 99)).toBeNull();
    const pair = roberta.encode('a', { pair: 'b' });
    expect(pair.tokens[roberta.charToToken(pair, 0, 1)!]).toBe('b');
  });

  it('keeps offsets right in text that is no valid UTF-16', () => {
    const encoding = roberta.encode('a\ud83d b');
    expect(encoding.offsets.at(-2)).toEqual([3, 4]);
  });

  it('knows its tokens by name and number', () => {
    expect([roberta.idOf('</s>'), roberta.tokenOf(1), roberta.padId, roberta.vocabularySize]).toEqual([
      2,
      '<pad>',
      1,
      1400,
    ]);
    expect([roberta.idOf('no such token'), roberta.tokenOf(99999)]).toEqual([null, null]);
  });

  it('refuses a limit that does not hold the special tokens', () => {
    expect(() => roberta.encode('a', { maxLength: 1 })).toThrow(RangeError);
    expect(() => roberta.encodeBatch(['a'], { padding: 'max' })).toThrow(RangeError);
  });
});

describe('A wrong tokenizer file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tfgeo tokenizer-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['', /the file is empty/],
    ['{"model": {"ty', /not JSON/],
  ])('is named: %j', async (content, message) => {
    const path = join(folder, 'tokenizer.json');
    writeFileSync(path, content);
    await expect(Tokenizer.fromFile(path)).rejects.toThrow(UserError);
    await expect(Tokenizer.fromFile(path)).rejects.toThrow(message);
    await expect(Tokenizer.fromFile(path)).rejects.toThrow(path);
  });

  it('that is missing is named', async () => {
    await expect(Tokenizer.fromFile(join(folder, 'none.json'))).rejects.toThrow(
      /none\.json: there is no such file/,
    );
  });

  const model = robertaJson.model;
  const { Ġthe: _, ...withoutThe } = model.vocab;
  it.each([
    [[], /expected an object but found a list/],
    [{}, /at model: there is no model/],
    [{ model: { type: 'Unigram' } }, /at model: tokenizer model 'Unigram' is not supported; supported: BPE/],
    [{ model: { ...model, vocab: { a: -1 } } }, /at model\.vocab: token 'a' has no whole number/],
    [{ model: { ...model, vocab: withoutThe } }, /at model\.merges\[\d+\]: 'Ġthe' is not in the vocabulary/],
    [{ model: { ...model, merges: [['a']] } }, /at model\.merges\[0\]: expected a merge of two tokens/],
    [{ model: { ...model, byte_fallback: true } }, /byte_fallback/],
    [{ model: { ...model, unk_token: '<none>' } }, /'<none>' is not in the vocabulary/],
    [
      { model, normalizer: { type: 'Precompiled' } },
      /at normalizer: normalizer 'Precompiled' is not supported/,
    ],
    [{ model, pre_tokenizer: { type: 'toString' } }, /pre-tokenizer 'toString' is not supported/],
    [
      { model, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Removed' } },
      /pattern\.Regex/,
    ],
    [
      { model, pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'Gone' } },
      /unknown behavior/,
    ],
    [{ model, post_processor: { type: 'RobertaProcessing', cls: ['<s>'] } }, /at post_processor\.cls/],
    [{ model, added_tokens: [{ content: 'x' }] }, /at added_tokens\[0\]\.id: expected a whole number/],
  ])('is located: %#', (json, message) => {
    expect(() => Tokenizer.fromJson(json)).toThrow(UserError);
    expect(() => Tokenizer.fromJson(json)).toThrow(message);
  });
});
