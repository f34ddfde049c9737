// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { BoxXyxy } from '../../../src/models/types.js';
import { parseEntityBoxes, parseEntitySentences, phraseRecall } from '../../../src/train/evaluators/index.js';

const [a, b, far]: BoxXyxy[] = [
  [0, 0, 10, 10],
  [10, 0, 20, 10],
  [80, 80, 90, 90],
];

describe('phraseRecall', () => {
  const phrase = { id: '1', types: ['people'], truth: [a!, b!], predictions: [far!, a!] };

  it('takes any of the boxes, or all as one', () => {
    expect(phraseRecall([phrase]).people).toEqual({ 1: 0, 5: 1, 10: 1, upperBound: 1, count: 1 });
    const both: BoxXyxy = [0, 0, 20, 10];
    const merged = phraseRecall([{ ...phrase, predictions: [[0, 0, 9, 10], both] }], { merge: true });
    expect(merged.all).toEqual({ 1: 0, 5: 1, 10: 1, upperBound: 1, count: 1 });
  });

  it('counts a phrase once in all, and in each of its categories', () => {
    const missed = { ...phrase, types: ['people', 'other'], predictions: [far!] };
    const found = phraseRecall([phrase, missed]);
    expect(Object.keys(found)).toEqual(['all', 'other', 'people']);
    expect([found.all!.count, found.all![5], found.other![5], found.people![5]]).toEqual([2, 0.5, 0, 0.5]);
  });

  it('refuses a phrase without boxes', () => {
    expect(() => phraseRecall([{ ...phrase, truth: [] }])).toThrow(/phrase 1 has no true box/);
  });
});

describe('files of Flickr30k Entities', () => {
  it('gives phrases with the number of words before them', () => {
    const [first, second] = parseEntitySentences(
      'Two [/EN#12/people young men] on\n[/EN#3/scene a hill] .\n',
      'x.txt',
    );
    expect(first).toEqual([{ phrase: 'young men', firstWordIndex: 1, id: '12', types: ['people'] }]);
    expect(second).toEqual([{ phrase: 'a hill', firstWordIndex: 0, id: '3', types: ['scene'] }]);
  });

  it('says where a phrase is not closed', () => {
    expect(() => parseEntitySentences('fine .\nthe [/EN#1/people man', 'x.txt')).toThrow(
      /x\.txt, sentence 2: '\[\/EN#1\/people' is no whole phrase/,
    );
  });

  it('gives boxes by entity, as they are in the file, and leaves out what has none', () => {
    const box = (x: string) =>
      `<bndbox><xmin>${x}</xmin><ymin>2</ymin><xmax>11</xmax><ymax>12</ymax></bndbox>`;
    const xml =
      `<annotation><object><name>1</name><name>2</name>${box('1')}</object>` +
      `<object><name>1</name>${box('3')}</object><object><name>4</name><nobndbox>1</nobndbox></object></annotation>`;
    expect([...parseEntityBoxes(xml, 'x.xml')]).toEqual([
      [
        '1',
        [
          [1, 2, 11, 12],
          [3, 2, 11, 12],
        ],
      ],
      ['2', [[1, 2, 11, 12]]],
    ]);
    expect(() => parseEntityBoxes(xml.replace('<xmin>3', '<xmin>wide'), 'x.xml')).toThrow(
      /x\.xml: object 2 has a box without numbers/,
    );
    expect(() => parseEntityBoxes('<annotation>', 'x.xml')).toThrow(/x\.xml: not XML/);
    expect(() => parseEntityBoxes('<other/>', 'x.xml')).toThrow(/expected <annotation> outermost/);
  });
});
