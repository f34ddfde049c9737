// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Tokenizer, trainBpe } from '../../../src/models/text/index.js';

const lines = readFileSync('test/fixtures/roberta/overhead.txt', 'utf8').split('\n').filter(Boolean);
const readJson = (path: string) => JSON.parse(readFileSync(`test/fixtures/${path}`, 'utf8'));

describe('trainBpe', () => {
  it('learns what the Rust library learns from the same text', () => {
    const reference = readJson('roberta/tokenizer.json');
    const trained = trainBpe(lines, {
      vocabSize: 1400,
      minFrequency: 1,
      lowercase: false,
      addPrefixSpace: false,
    }) as typeof reference;
    expect(trained.model.merges).toEqual(reference.model.merges);
    expect(trained).toEqual(reference);
  });

  it('gives the stored tokenizer again', () => {
    expect(trainBpe(lines, { vocabSize: 700 })).toEqual(readJson('trained_bpe/tokenizer.json'));
  });

  const tokenizer = Tokenizer.fromJson(trainBpe(lines, { vocabSize: 700 }));

  it('reads any case, and points at the words as typed', () => {
    const [typed, lower] = ['Two SHIPS at İzmir', 'two ships at i̇zmir'].map((text) => tokenizer.encode(text));
    expect(typed!.ids).toEqual(lower!.ids);
    const ships = typed!.offsets.filter(([begin]) => begin >= 4 && begin < 9);
    expect([ships[0]![0], ships.at(-1)![1]]).toEqual([4, 9]);
    expect(typed!.offsets.at(-2)![1]).toBe(18);
  });

  it('gives a word the same tokens wherever it stands', () => {
    const [first] = [tokenizer.encode('ship', { addSpecialTokens: false })];
    const later = tokenizer.encode('the ship', { addSpecialTokens: false });
    expect(later.ids.slice(-first!.ids.length)).toEqual(first!.ids);
    expect(first!.offsets[0]![0]).toBe(0);
  });

  it.each(['a ship 🚢 at 47.3°', 'naïve', '', '港口'])('can write and read any text: %s', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text).ids).trim()).toBe(text);
  });

  it('stops where nothing occurs often enough', () => {
    const few = Tokenizer.fromJson(trainBpe(['ab ab', 'ab'], { vocabSize: 1000, addPrefixSpace: false }));
    expect(few.vocabularySize).toBe(261 + 1);
    expect(few.encode('ab ab', { addSpecialTokens: false }).tokens).toEqual(['ab', 'Ġ', 'ab']);
  });

  it('refuses a vocabulary without room for the bytes', () => {
    expect(() => trainBpe(lines, { vocabSize: 260 })).toThrow(/at least 261/);
  });
});
