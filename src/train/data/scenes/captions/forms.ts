// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import type { KindName } from '../kinds/index.js';
import { COLOURS } from '../palette.js';
import type { Difficulty, Scene } from '../types.js';
import { matching, nounFor, nounPhrase, pairs, pickQuery, present, type Query, speakable } from './phrase.js';
import * as placed from './place_forms.js';
import type { Draft } from './sentence.js';
import { GROUPS, type Noun, NUMBERS, SYNONYMS } from './words.js';

/** Makes a sentence of one form about a scene, or null when the scene offers none whose truth is plain. */
export type FormBuilder = (scene: Scene, random: Random) => Draft | null;

/** "the ships" */
const kind: FormBuilder = (scene, random) => {
  const query = pickQuery(
    scene,
    present(scene).kinds.map((k) => ({ kinds: [k] })),
    random,
  );
  return query && simple(scene, query, random);
};

/** "the red ship" */
const colourKind: FormBuilder = (scene, random) => {
  const query = pickQuery(scene, pairs(scene), random);
  return query && simple(scene, query, random);
};

/** "everything red", "the red objects" */
const colour: FormBuilder = (scene, random) => {
  const query = pickQuery(
    scene,
    present(scene).colours.map((c) => ({ colour: c })),
    random,
  );
  if (!query) return null;
  const targets = matching(scene, query);
  if (random.chance(0.45)) {
    const word = random.pick(['everything', 'anything']);
    return { runs: [{ text: `${word} ${query.colour}`, name: 0 }], groups: [targets], plural: false };
  }
  return simple(scene, query, random);
};

/** "the three white planes", "both cars" */
const counted: FormBuilder = (scene, random) => {
  const { kinds } = present(scene);
  const all: Query[] = [...kinds.map((k) => ({ kinds: [k] })), ...pairs(scene), ...pairs(scene)];
  const query = pickQuery(
    scene,
    all.filter((q) => inRange(matching(scene, q).length, 2, 10)),
    random,
  );
  if (!query) return null;
  const targets = matching(scene, query);
  const both = targets.length === 2 && random.chance(0.25);
  const number = both ? random.pick(['both', 'both the']) : NUMBERS[targets.length]!;
  const determiner = both || random.chance(0.25) ? number : `the ${number}`;
  return {
    runs: nounPhrase(query, targets.length, random, 0, undefined, determiner),
    groups: [targets],
    plural: true,
  };
};

/** "all ships", "every red car" */
const all: FormBuilder = (scene, random) => {
  const { kinds } = present(scene);
  const queries: Query[] = [...kinds.map((k) => ({ kinds: [k] })), ...pairs(scene)];
  const query = pickQuery(
    scene,
    queries.filter((q) => matching(scene, q).length > 1),
    random,
  );
  if (!query) return null;
  const targets = matching(scene, query);
  const determiner = random.pick(['all', 'all', 'all the', 'all of the', 'every', 'each']);
  const plural = determiner.startsWith('all');
  return {
    runs: nounPhrase(query, plural ? 2 : 1, random, 0, undefined, determiner),
    groups: [targets],
    plural,
  };
};

/** "the vessels", "the red lorry": a form of its own, so that synonyms are met often and reported apart. */
const synonym: FormBuilder = (scene, random) => {
  const { kinds } = present(scene);
  const query = pickQuery(scene, [...kinds.map((k) => ({ kinds: [k] })), ...pairs(scene)], random);
  return query && simple(scene, query, random, random.pick(SYNONYMS[query.kinds![0]!]));
};

/** "the red vehicles": a noun for two kinds, of which at least one is there. */
const group: FormBuilder = (scene, random) => {
  const { kinds, colours } = present(scene);
  const options = GROUPS.filter((g) => g.kinds.some((k) => kinds.includes(k)));
  if (options.length === 0) return null;
  const both = options.filter((g) => g.kinds.every((k) => kinds.includes(k)));
  const { noun, kinds: members } = random.pick(both.length > 0 ? both : options);
  const coloured = colours
    .map((c): Query => ({ kinds: members, colour: c }))
    .filter((q) => matching(scene, q).length > 0);
  const query = random.chance(0.4) ? { kinds: members } : random.pick(coloured);
  return simple(scene, query, random, noun);
};

/** "the red cars and the white plane": two noun phrases, each with its own objects. */
const twoPhrases: FormBuilder = (scene, random) => {
  const { kinds } = present(scene);
  if (kinds.length < 2) return null;
  const [first, second] = random.shuffle(kinds) as [KindName, KindName];
  const choose = (k: KindName): Query => {
    const own = pairs(scene).filter((q) => q.kinds![0] === k);
    return random.chance(0.7) ? (pickQuery(scene, own, random) ?? { kinds: [k] }) : { kinds: [k] };
  };
  const [a, b] = [choose(first), choose(second)];
  const groups = [matching(scene, a), matching(scene, b)];
  const determiner = random.chance(0.8) ? 'the' : '';
  const joint = random.pick(['and', 'and', 'and', 'as well as', 'plus']);
  return {
    runs: [
      ...nounPhrase(a, groups[0]!.length, random, 0, undefined, determiner),
      { text: joint },
      ...nounPhrase(b, groups[1]!.length, random, 1, undefined, determiner),
    ],
    groups,
    plural: groups[0]!.length > 1,
  };
};

/** "every ship except the red one", "the ship that is not red": the others of the kind. */
const except: FormBuilder = (scene, random) => {
  const options = pairs(scene).filter((q) => {
    const whole = matching(scene, { kinds: q.kinds! }).length;
    return whole > matching(scene, q).length;
  });
  if (options.length === 0) return null;
  const query = pickQuery(scene, options, random)!;
  const left = matching(scene, query).length;
  const targets = matching(scene, { kinds: query.kinds! }).filter(
    (i) => scene.objects[i]!.colour !== query.colour,
  );
  const noun = nounFor(query, random);
  if (targets.length === 1) {
    const runs = [{ text: 'the' }, { text: noun.singular, name: 0 }, { text: `that is not ${query.colour}` }];
    return { runs, groups: [targets], plural: false };
  }
  const every = random.chance(0.4);
  const but = random.pick(['except', 'except', 'but not', 'other than']);
  return {
    runs: [
      { text: every ? 'every' : random.pick(['all', 'all the']) },
      { text: every ? noun.singular : noun.plural, name: 0 },
      { text: `${but} the ${query.colour} ${left > 1 ? 'ones' : 'one'}` },
    ],
    groups: [targets],
    plural: !every,
  };
};

/** Something that is not there: mostly a kind and a colour that both occur, but never together. */
const absent: FormBuilder = (scene, random) => {
  const { kinds, colours } = present(scene);
  const allowed = speakable(scene);
  const near = kinds.flatMap((k) => colours.map((c): Query => ({ kinds: [k], colour: c })));
  const ofKind = kinds.flatMap((k) => COLOURS.map((c): Query => ({ kinds: [k], colour: c })));
  const ofColour = allowed.flatMap((k) => colours.map((c): Query => ({ kinds: [k], colour: c })));
  const choice = random.uniform();
  const pool =
    choice < 0.5
      ? near
      : choice < 0.65
        ? ofKind
        : choice < 0.75
          ? ofColour
          : choice < 0.92
            ? allowed.map((k): Query => ({ kinds: [k] }))
            : COLOURS.map((c): Query => ({ colour: c }));
  const unanswered = (q: Query): boolean => matching(scene, q).length === 0;
  const missing = pool.some(unanswered) ? pool.filter(unanswered) : ofKind.filter(unanswered);
  if (missing.length === 0) return null;
  const query = random.pick(missing);
  const plural = random.chance(0.5);
  if (!query.kinds && random.chance(0.5)) {
    return { runs: [{ text: `everything ${query.colour}` }], groups: [], plural: false };
  }
  const determiner = random.pick(plural ? ['the', 'the', '', 'all', 'all the'] : ['the', 'the', '']);
  return {
    runs: nounPhrase(query, plural ? 2 : 1, random, undefined, undefined, determiner),
    groups: [],
    plural,
  };
};

/** A noun phrase for everything that answers the query. */
function simple(scene: Scene, query: Query, random: Random, noun?: Noun): Draft {
  const targets = matching(scene, query);
  return {
    runs: nounPhrase(query, targets.length, random, 0, noun),
    groups: [targets],
    plural: targets.length > 1,
  };
}

function inRange(value: number, low: number, high: number): boolean {
  return value >= low && value <= high;
}

/** Which sentences are asked for; `hard` has more of place, size, number and relation. */
export type Sentences = Difficulty | 'hard';

/** One form of sentence: how to make it and how often, relative weights by what is asked for. */
export interface FormSpec {
  build: FormBuilder;
  weight: Record<Sentences, number>;
  example: string;
}

/** Every form of sentence. The keys are what samples and reports call them. */
export const FORMS = {
  kind: { build: kind, weight: { standard: 13, hard: 4, easy: 20 }, example: 'the ships' },
  'colour+kind': { build: colourKind, weight: { standard: 17, hard: 5, easy: 35 }, example: 'the red ship' },
  colour: { build: colour, weight: { standard: 7, hard: 3, easy: 10 }, example: 'everything red' },
  counted: { build: counted, weight: { standard: 5, hard: 5, easy: 0 }, example: 'the three white planes' },
  all: { build: all, weight: { standard: 6, hard: 3, easy: 10 }, example: 'all red cars' },
  'two phrases': {
    build: twoPhrases,
    weight: { standard: 9, hard: 5, easy: 15 },
    example: 'the red cars and the white plane',
  },
  synonym: { build: synonym, weight: { standard: 6, hard: 3, easy: 0 }, example: 'the white vessel' },
  group: { build: group, weight: { standard: 2, hard: 1, easy: 0 }, example: 'the red vehicles' },
  size: { build: placed.size, weight: { standard: 5, hard: 9, easy: 0 }, example: 'the small ships' },
  'size extreme': {
    build: placed.sizeSuperlative,
    weight: { standard: 5, hard: 8, easy: 0 },
    example: 'the largest tank',
  },
  'place extreme': {
    build: placed.placeSuperlative,
    weight: { standard: 6, hard: 24, easy: 0 },
    example: 'the leftmost car',
  },
  relation: {
    build: placed.relation,
    weight: { standard: 6, hard: 22, easy: 0 },
    example: 'the red ship left of the blue tank',
  },
  nearest: {
    build: placed.nearestTo,
    weight: { standard: 2, hard: 9, easy: 0 },
    example: 'the car nearest to the white plane',
  },
  landmark: {
    build: placed.landmark,
    weight: { standard: 9, hard: 13, easy: 0 },
    example: 'the two red boats left of the pier',
  },
  except: {
    build: except,
    weight: { standard: 3, hard: 4, easy: 0 },
    example: 'every ship except the red one',
  },
  absent: {
    build: absent,
    weight: { standard: 10, hard: 6, easy: 10 },
    example: 'the green helicopter (there is none)',
  },
} satisfies Record<string, FormSpec>;

export type FormName = keyof typeof FORMS;
export const FORM_NAMES = Object.keys(FORMS) as FormName[];
