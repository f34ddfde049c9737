// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Random } from '../../../../src/random.js';
import {
  augment,
  captionScene,
  FORM_NAMES,
  FORMS,
  generateScene,
  hasDistractors,
  NOUNS,
  SYNONYMS,
  sampleCaptions,
} from '../../../../src/train/data/scenes/index.js';
import { read } from './referee.js';

const scenes = Array.from({ length: 300 }, (_, i) => generateScene(i + 5000));
const said = scenes.map((scene, i) => ({ scene, caption: captionScene(scene, new Random(i)) }));
const wordsOf = (text: string, [begin, end]: readonly [number, number]): string =>
  [...text].slice(begin, end).join('');

describe('captionScene', () => {
  it('asks for place, size, number and relation more often when sentences are to be hard', () => {
    const share = (sentences: 'standard' | 'hard') => {
      const forms = scenes.map((scene, i) => captionScene(scene, new Random(i), { sentences }).form);
      const wanted = ['relation', 'place extreme', 'size extreme', 'counted', 'size', 'landmark', 'nearest'];
      return forms.filter((form) => wanted.includes(form)).length / forms.length;
    };
    expect(share('hard')).toBeGreaterThan(1.3 * share('standard'));
  });

  it('has at least a dozen forms, and each can be made often', () => {
    expect(FORM_NAMES.length).toBeGreaterThanOrEqual(12);
    for (const form of FORM_NAMES) {
      const made = scenes.filter((scene, i) => captionScene(scene, new Random(i), { form }) !== null);
      expect({ form, often: made.length >= 30 }).toEqual({ form, often: true });
    }
  });

  it.each(FORM_NAMES)('%s: another reader finds the same objects', (form) => {
    let read_ = 0;
    scenes.forEach((scene, i) => {
      const caption = captionScene(scene, new Random(1000 + i), { form });
      if (!caption) return;
      read_++;
      const reading = read(caption.text, scene);
      const meant = caption.referred.map((r) => r.object);
      expect({ text: caption.text, seed: scene.seed, objects: meant }).toEqual({
        text: caption.text,
        seed: scene.seed,
        objects: reading.objects,
      });
      expect(meant.length === 0).toBe(form === 'absent');
      for (const head of reading.heads) {
        if (head.stated !== null) expect(head.stated).toBe(head.count);
        if (form === 'absent' || /aircraft/i.test(caption.text)) continue;
        const singular = head.distributive || head.count === 1;
        expect({ text: caption.text, singular: head.singular }).toEqual({ text: caption.text, singular });
      }
    });
    expect(read_).toBeGreaterThan(0);
  });

  it('stays true after a scene is turned or mirrored', () => {
    scenes.slice(0, 80).forEach((scene, i) => {
      const random = new Random(i);
      const turned = augment(scene, random);
      for (const form of ['relation', 'place extreme', 'landmark', 'nearest'] as const) {
        const caption = captionScene(turned, random, { form });
        if (caption) {
          expect(caption.referred.map((r) => r.object)).toEqual(read(caption.text, turned).objects);
        }
      }
    });
  });

  it('spans hold the naming words only, in code points', () => {
    const allowed =
      /^((large|big|small|little|largest|biggest|smallest|tiniest|leftmost|rightmost|topmost|uppermost|bottommost|lowest) )?((red|orange|yellow|green|blue|purple|white|black) )?[a-z ]*$|^(everything|anything) \w+$/i;
    for (const { scene, caption } of said) {
      for (const { object, spans } of caption.referred) {
        expect(spans.length).toBeGreaterThan(0);
        const { colour } = scene.objects[object]!;
        for (const span of spans) {
          const words = wordsOf(caption.text, span);
          expect(words).toMatch(allowed);
          expect(words).not.toMatch(
            /^(the|all|every|each|both|two|three)\b|\b(left of|right of|above|below|and)\b|^ | $|[.?]/i,
          );
          // A colour in the words is the colour of the object.
          const named = /\b(red|orange|yellow|green|blue|purple|white|black)\b/i
            .exec(words)?.[1]
            ?.toLowerCase();
          if (named) expect(named).toBe(colour);
        }
      }
    }
  });

  it('gives two phrases their own objects', () => {
    let made = 0;
    scenes.forEach((scene, i) => {
      const caption = captionScene(scene, new Random(i), { form: 'two phrases' });
      if (!caption) return;
      made++;
      const byKind = new Map<string, Set<string>>();
      for (const { object, spans } of caption.referred) {
        const { kind } = scene.objects[object]!;
        byKind.set(kind, (byKind.get(kind) ?? new Set()).add(JSON.stringify(spans)));
      }
      expect(byKind.size).toBe(2);
      const [a, b] = [...byKind.values()];
      expect([a!.size, b!.size]).toEqual([1, 1]);
      expect([...a!][0]).not.toBe([...b!][0]);
    });
    expect(made).toBeGreaterThan(100);
  });

  it('puts distractors of kind and of colour beside what is asked for in at least 70 % of scenes', () => {
    const asking = said.filter(({ caption }) => caption.referred.length > 0);
    const hard = asking.filter(({ scene, caption }) =>
      hasDistractors(
        scene,
        caption.referred.map((r) => r.object),
      ),
    );
    expect(hard.length / asking.length).toBeGreaterThanOrEqual(0.7);
  });

  it('asks for something absent about one time in ten, and keeps near the weights otherwise', () => {
    const share = (names: readonly string[]): number =>
      said.filter(({ caption }) => names.includes(caption.form)).length / said.length;
    expect(share(['absent'])).toBeGreaterThan(0.05);
    expect(share(['absent'])).toBeLessThan(0.16);
    const plain = ['kind', 'colour+kind', 'colour', 'all', 'counted', 'two phrases', 'synonym', 'group'];
    expect(share(plain)).toBeGreaterThan(0.52);
    expect(share(plain)).toBeLessThan(0.78);
  });

  it('asks for things that can be seen', () => {
    for (const { scene, caption } of said) {
      for (const { object } of caption.referred) {
        const [x0, y0, x1, y1] = scene.objects[object]!.box;
        expect(Math.max(x1 - x0, y1 - y0)).toBeGreaterThanOrEqual(8);
      }
    }
  });

  it('never speaks of kinds that the background shows unlabelled', () => {
    for (let seed = 0; seed < 60; seed++) {
      const scene = generateScene(seed, { background: 'roofs' });
      const caption = captionScene(scene, new Random(seed), { form: 'absent' })!;
      expect(caption.text).not.toMatch(/building|house/i);
    }
  });

  it('varies its wording and refuses an unknown form', () => {
    const random = new Random(1);
    const texts = new Set(
      Array.from({ length: 60 }, () => captionScene(scenes[0]!, random, { form: 'kind' })!.text),
    );
    expect(texts.size).toBeGreaterThan(10);
    expect(() => captionScene(scenes[0]!, random, { form: 'colours' as 'colour' })).toThrow('Unknown form');
  });

  it('uses only easy forms in easy scenes', () => {
    for (let seed = 0; seed < 60; seed++) {
      const scene = generateScene(seed, { difficulty: 'easy' });
      const { form } = captionScene(scene, new Random(seed));
      expect(FORMS[form as keyof typeof FORMS].weight.easy).toBeGreaterThan(0);
    }
  });
});

describe('words', () => {
  it('uses every plain noun', () => {
    const corpus = sampleCaptions(3000, 1).join('\n').toLowerCase();
    for (const noun of [...Object.values(NOUNS), ...Object.values(SYNONYMS).flat()]) {
      expect(corpus).toMatch(new RegExp(`\\b${noun.singular}\\b`));
      expect(corpus).toMatch(new RegExp(`\\b${noun.plural}\\b`));
    }
  });

  it('samples captions by seed', () => {
    expect(sampleCaptions(50, 2)).toEqual(sampleCaptions(50, 2));
    expect(sampleCaptions(50, 2)).not.toEqual(sampleCaptions(50, 3));
    expect(sampleCaptions(50, 2)).toHaveLength(50);
  });
});
