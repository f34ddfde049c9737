// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import {
  booleanMap,
  phraseOfTokens,
  positiveMap,
  SLOTS,
  Tokenizer,
  tokensOfSpans,
  wordsOf,
} from '../../../src/models/text/index.js';
import { readSafetensors } from '../../../src/models/weights/safetensors.js';

const tokenizer = await Tokenizer.fromFile('test/fixtures/roberta/tokenizer.json');
const folder = 'test/fixtures/mdetr_spans';

interface SpanCase {
  name: string;
  config: { captions: [string, [number, number][][]][] };
}
const { cases }: { cases: SpanCase[] } = JSON.parse(readFileSync(`${folder}/manifest.json`, 'utf8'));

describe("positiveMap equals MDETR's create_positive_map", () => {
  it.each(cases.map((entry) => [entry.name, entry] as const))('%s', async (name, { config }) => {
    const tensors = await readSafetensors(`${folder}/${name}.safetensors`);
    const batched: number[] = [];
    config.captions.forEach(([caption, spans], i) => {
      const { ids, offsets } = tokenizer.encode(caption);
      expect(ids).toEqual(Array.from(tensors.get(`in/${i}.input_ids`)!.data, Number));
      expect(offsets.flat()).toEqual(Array.from(tensors.get(`in/${i}.offsets`)!.data, Number));
      const map = positiveMap(offsets, spans);
      const stored = Array.from(tensors.get(`out/${i}.positive_map`)!.data, Number);
      expect(map).toHaveLength(stored.length);
      const worst = Math.max(...stored.map((value, k) => Math.abs(value - map[k]!)));
      expect(worst).toBeLessThanOrEqual(1e-7);
      batched.push(...booleanMap(map));
    });
    expect(batched).toEqual(Array.from(tensors.get('out/batched_positive_map')!.data, Number));
  });
});

describe('tokensOfSpans', () => {
  const encoding = tokenizer.encode('two ships — one naïve 🚢 docked');

  it('counts code points', () => {
    const tokens = tokensOfSpans(encoding, [[22, 23]]);
    expect(tokenizer.decode(tokens.map((t) => encoding.ids[t]!))).toContain('\ufffd');
    expect(tokens).toHaveLength(1);
  });

  it('joins spans and drops what it cannot place', () => {
    const both = tokensOfSpans(encoding, [
      [4, 9],
      [0, 9],
      [90, 95],
    ]);
    expect(both).toEqual(tokensOfSpans(encoding, [[0, 9]]));
    expect(tokensOfSpans(encoding, [[0, 0]])).toEqual([]);
    expect(
      positiveMap(encoding.offsets, [[], [[0, 9]]], SLOTS)
        .slice(0, SLOTS)
        .some(Boolean),
    ).toBe(false);
  });
});

describe('phraseOfTokens', () => {
  /** Phrases when just the tokens whose decoded text is in `chosen` score high. */
  function phrases(caption: string, chosen: string[]) {
    const encoding = tokenizer.encode(caption);
    const scores = encoding.ids.map((id) => (chosen.includes(tokenizer.decode([id]).trim()) ? 0.8 : 0.1));
    return phraseOfTokens(caption, encoding, scores, 0.5);
  }

  it('gives whole words as typed, for a part of their tokens', () => {
    const caption = 'The RED boats moored north-west, and 🚢s';
    const [first, second, ...rest] = phrases(caption, ['R', 'ored', 'north']);
    expect(rest).toEqual([]);
    expect(first!.text).toBe('RED');
    expect(second!.text).toBe('moored north-west');
    expect(caption.slice(...second!.span16)).toBe(second!.text);
    expect(second!.score).toBe(0.8);
  });

  it('keeps apart what other words or signs part', () => {
    expect(phrases('ships, ships at the ships', ['ships', 'sh', 's']).map(({ text }) => text)).toEqual([
      'ships',
      'ships',
      'ships',
    ]);
  });

  it('counts spans in code points and in UTF-16 units', () => {
    const [phrase] = phrases('🚢🚢 the ship', ['the']);
    expect(phrase).toMatchObject({ text: 'the', span: [3, 6], span16: [5, 8] });
  });

  it('names nothing for special tokens, signs and low scores', () => {
    const caption = 'ships, planes';
    const encoding = tokenizer.encode(caption);
    const scores = encoding.tokens.map((token) =>
      encoding.tokens.indexOf(token) === 0 || token === ',' ? 1 : 0.5,
    );
    expect(phraseOfTokens(caption, encoding, scores, 0.5)).toEqual([]);
    expect(phraseOfTokens(caption, encoding, scores, 0.4)).toHaveLength(2);
  });

  it('ignores slots beyond the tokens and tokens beyond the slots', () => {
    const caption = 'two ships';
    const encoding = tokenizer.encode(caption);
    expect(phraseOfTokens(caption, encoding, new Float32Array(256).fill(1), 0.5)[0]!.text).toBe(caption);
    expect(phraseOfTokens(caption, encoding, [1, 1], 0.5)[0]!.text).toBe('two');
  });
});

describe('wordsOf', () => {
  it.each([
    ["don't stop", ["don't", 'stop']],
    ['a north-west wind - then', ['a', 'north-west', 'wind', 'then']],
    ['boats’ bows (white)', ['boats', 'bows', 'white']],
    ['🚢 and 👩‍✈️', ['🚢', 'and', '👩‍✈️']],
    ['0.3 m/pixel', ['0.3', 'm', 'pixel']],
    ['港口飞机', ['港口', '飞机']],
    [' ,. ', []],
    ['', []],
  ])('%s', (text, words) => {
    const chars = [...text];
    expect(wordsOf(text).map(([begin, end]) => chars.slice(begin, end).join(''))).toEqual(words);
  });
});
