// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Random } from '../../../../src/random.js';
import { openDataset } from '../../../../src/train/data/index.js';
import {
  COLOURS,
  captionScene,
  GROUPS,
  generateScene,
  KIND_NAMES,
  NOUNS,
  type Noun,
  SceneDataset,
  SYNONYMS,
  VOCABULARIES,
  type VocabularyName,
} from '../../../../src/train/data/scenes/index.js';

const scenes = Array.from({ length: 150 }, (_, seed) => generateScene(seed, { size: 96 }));

function wordsOf(name: VocabularyName): string[] {
  const { nouns, colours, flying, driving } = VOCABULARIES[name];
  const both = ({ singular, plural }: Noun) => [singular, plural];
  return [
    ...[...Object.values(nouns).flat(), flying, driving].flatMap(both),
    ...Object.values(colours).flat(),
  ];
}

const corpusOf = (vocabulary: VocabularyName): string[] =>
  scenes.flatMap((scene, i) => {
    const random = new Random(i);
    return Array.from({ length: 40 }, () => captionScene(scene, random, { vocabulary }).text.toLowerCase());
  });

const holds = (text: string, word: string): boolean => new RegExp(`(?<![\\w-])${word}(?![\\w-])`).test(text);

describe('vocabularies', () => {
  it('share no word', () => {
    const seen = new Set(wordsOf('seen'));
    expect(wordsOf('unseen').filter((word) => seen.has(word))).toEqual([]);
  });

  it('use each of their words, and none of the other', () => {
    const seen = corpusOf('seen').join('\n');
    const unseen = corpusOf('unseen').join('\n');
    expect(wordsOf('seen').filter((word) => !holds(seen, word))).toEqual([]);
    expect(wordsOf('unseen').filter((word) => !holds(unseen, word))).toEqual([]);
    expect(wordsOf('unseen').filter((word) => holds(seen, word))).toEqual([]);
  });

  it('leave no plain word in a sentence of unseen ones', () => {
    const plain = [
      ...Object.values(NOUNS),
      ...Object.values(SYNONYMS).flat(),
      ...GROUPS.map(({ noun }) => noun),
    ];
    const words = [...plain.flatMap(({ singular, plural }) => [singular, plural]), ...COLOURS];
    const own = wordsOf('unseen').sort((a, b) => b.length - a.length);
    for (const text of corpusOf('unseen')) {
      let rest = text;
      for (const word of own) rest = rest.replaceAll(word, '_');
      expect({ text, left: words.filter((word) => holds(rest, word)) }).toEqual({ text, left: [] });
    }
  });

  it('keep what is asked for, its number and where the words stand', () => {
    for (const [i, scene] of scenes.entries()) {
      const plain = captionScene(scene, new Random(i), { form: 'colour+kind' })!;
      const other = captionScene(scene, new Random(i), { form: 'colour+kind', vocabulary: 'unseen' })!;
      expect(other.referred.map(({ object }) => object)).toEqual(plain.referred.map(({ object }) => object));
      const named = other.referred[0]!.spans.map(([begin, end]) =>
        [...other.text.toLowerCase()].slice(begin, end).join(''),
      );
      const { kind, colour } = scene.objects[other.referred[0]!.object]!;
      const many = other.referred.length > 1;
      const nouns = VOCABULARIES.unseen.nouns[kind].map((noun) => (many ? noun.plural : noun.singular));
      expect(VOCABULARIES.unseen.colours[colour].some((word) => named.join(' ').includes(word))).toBe(true);
      expect(nouns.some((noun) => named.join(' ').endsWith(noun) || named[0] === noun)).toBe(true);
    }
  });

  it('call a plane something that is no helicopter where there are both', () => {
    const airfield = scenes.filter(({ objects }) => objects.some(({ kind }) => kind === 'helicopter'));
    const texts = airfield.flatMap((scene) =>
      Array.from(
        { length: 20 },
        (_, i) => captionScene(scene, new Random(i), { form: 'kind', vocabulary: 'unseen' })!,
      ),
    );
    const planes = texts.filter(({ text }) => text.includes('aircraft'));
    expect(planes.length).toBeGreaterThan(0);
    for (const { text } of planes) expect(text.toLowerCase()).toContain('fixed-wing aircraft');
  });
});

describe('datasets of vocabularies', () => {
  it('label an object with every word that is true of it', async () => {
    const dataset = new SceneDataset({ split: 'train', length: 3, size: 96, vocabulary: 'seen' });
    const { objects } = await dataset.get(0);
    const { kind, colour } = dataset.scene(0).objects[0]!;
    const { nouns, colours } = VOCABULARIES.seen;
    expect(objects[0]!.labels).toEqual([...nouns[kind].map(({ singular }) => singular), ...colours[colour]]);
  });

  it.each(['scenes-seen-words', 'scenes-hard-seen-words', 'scenes-unseen-words'])(
    '%s opens by name and shows the pictures of `scenes`',
    async (name) => {
      const options = { split: 'test', length: 4, imageSize: 96 };
      const [plain, other] = [await openDataset('scenes', options), await openDataset(name, options)];
      const [a, b] = [await plain.get(2), await other.get(2)];
      expect(b.image).toEqual(a.image);
      expect(b.objects.map(({ box }) => box)).toEqual(a.objects.map(({ box }) => box));
      expect(KIND_NAMES).toContain(b.objects[0]!.category);
    },
  );
});
