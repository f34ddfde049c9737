// SPDX-License-Identifier: Apache-2.0
// Other words for the kinds and colours of made scenes, in two lists that share none, for models whose text encoder knows
// more words than the detector is trained on.
import type { Random } from '../../../../random.js';
import { KIND_NAMES, type KindName } from '../kinds/index.js';
import { COLOURS, type ColourName } from '../palette.js';
import type { Scene } from '../types.js';
import type { Draft, Run } from './sentence.js';
import { GROUPS, NOUNS, type Noun, regular, SYNONYMS } from './words.js';

/** `seen` words may occur in training sentences; `unseen` ones only in tests of what a model makes of new words. */
export type VocabularyName = 'seen' | 'unseen';

/** Words to put in place of the plain ones. */
export interface Vocabulary {
  nouns: Readonly<Record<KindName, readonly Noun[]>>;
  colours: Readonly<Record<ColourName, readonly string[]>>;
  /** Planes and helicopters at once. */
  flying: Noun;
  /** Cars and trucks at once. */
  driving: Noun;
}

const same = (word: string): Noun => ({ singular: word, plural: word });
const AIRCRAFT = same('aircraft');

export const VOCABULARIES: Readonly<Record<VocabularyName, Vocabulary>> = {
  seen: {
    nouns: {
      ship: [
        regular('ship'),
        regular('boat'),
        { singular: 'ferry', plural: 'ferries' },
        regular('freighter'),
        regular('cargo ship'),
        regular('barge'),
        regular('yacht'),
      ],
      plane: [
        regular('plane'),
        regular('airplane'),
        regular('aeroplane'),
        regular('jet'),
        regular('airliner'),
        regular('jetliner'),
      ],
      helicopter: [regular('helicopter'), regular('chopper'), regular('copter')],
      tank: [
        regular('tank'),
        regular('oil tank'),
        regular('fuel tank'),
        regular('water tank'),
        regular('silo'),
        regular('cistern'),
      ],
      car: [
        regular('car'),
        regular('automobile'),
        regular('passenger car'),
        regular('sedan'),
        regular('motorcar'),
        regular('hatchback'),
      ],
      truck: [
        regular('truck'),
        regular('hauler'),
        regular('semi truck'),
        regular('cargo truck'),
        regular('trailer truck'),
      ],
      building: [
        regular('building'),
        regular('warehouse'),
        regular('shed'),
        { singular: 'factory', plural: 'factories' },
        regular('office block'),
        regular('apartment building'),
      ],
      container: [
        regular('container'),
        regular('shipping container'),
        { singular: 'cargo box', plural: 'cargo boxes' },
        regular('crate'),
        regular('cargo container'),
      ],
    },
    // Many shades, far-fetched ones too: from few words a detector does not learn which part of a text's features is colour.
    colours: {
      red: [
        'red',
        'scarlet',
        'cherry',
        'burgundy',
        'maroon',
        'vermilion',
        'cardinal red',
        'brick red',
        'blood-red',
        'cerise',
        'carmine',
        'bright red',
      ],
      orange: [
        'orange',
        'pumpkin',
        'apricot',
        'carrot',
        'coral',
        'rust',
        'amber',
        'copper',
        'mandarin',
        'peach',
        'burnt orange',
      ],
      yellow: [
        'yellow',
        'lemon',
        'mustard',
        'canary yellow',
        'saffron',
        'straw',
        'flaxen',
        'gold',
        'sunflower yellow',
        'honey',
      ],
      green: [
        'green',
        'lime green',
        'jade',
        'olive',
        'mint',
        'forest green',
        'moss',
        'malachite',
        'sea-green',
        'leaf-green',
        'viridian',
        'peridot',
      ],
      blue: [
        'blue',
        'navy',
        'cobalt',
        'cerulean',
        'sky-blue',
        'turquoise',
        'aquamarine',
        'ultramarine',
        'teal',
        'steel blue',
        'cyan',
        'sapphire',
      ],
      purple: [
        'purple',
        'lilac',
        'plum',
        'lavender',
        'mauve',
        'magenta',
        'amethyst',
        'grape',
        'heliotrope',
        'fuchsia',
        'eggplant',
        'periwinkle',
      ],
      white: [
        'white',
        'snow-white',
        'cream',
        'pearl',
        'milky',
        'alabaster',
        'chalk',
        'bleached',
        'eggshell',
        'porcelain',
        'off-white',
      ],
      black: [
        'black',
        'jet-black',
        'coal-black',
        'onyx',
        'obsidian',
        'charcoal',
        'pitch-black',
        'inky',
        'raven',
        'sable',
        'sooty',
        'midnight black',
      ],
    },
    flying: regular('flying machine'),
    driving: regular('vehicle'),
  },
  unseen: {
    nouns: {
      ship: [regular('vessel'), same('watercraft')],
      plane: [AIRCRAFT, same('fixed-wing aircraft')],
      helicopter: [same('rotorcraft')],
      tank: [regular('storage tank')],
      car: [regular('auto'), regular('coupe')],
      truck: [{ singular: 'lorry', plural: 'lorries' }],
      building: [regular('house'), regular('residence')],
      container: [{ singular: 'freight box', plural: 'freight boxes' }],
    },
    colours: {
      red: ['crimson'],
      orange: ['tangerine'],
      yellow: ['golden'],
      green: ['emerald'],
      blue: ['azure'],
      purple: ['violet'],
      white: ['ivory'],
      black: ['ebony'],
    },
    flying: AIRCRAFT,
    driving: regular('motor vehicle'),
  },
};

/** What a plain word stands for. */
type Meaning = { colour: ColourName } | { kinds: readonly KindName[]; number: 'one' | 'many' | 'either' };

const MEANINGS = new Map<string, Meaning>([
  ...COLOURS.map((colour): [string, Meaning] => [colour, { colour }]),
  ...KIND_NAMES.flatMap((kind) => [NOUNS[kind], ...SYNONYMS[kind]].flatMap((noun) => meanings(noun, [kind]))),
  ...GROUPS.flatMap(({ noun, kinds }) => meanings(noun, kinds)),
]);

function meanings({ singular, plural }: Noun, kinds: readonly KindName[]): [string, Meaning][] {
  if (singular === plural) return [[singular, { kinds, number: 'either' }]];
  return [
    [singular, { kinds, number: 'one' }],
    [plural, { kinds, number: 'many' }],
  ];
}

// The longest first, so that "storage tank" is not read as "tank".
const PLAIN_WORDS = new RegExp(
  `\\b(${[...MEANINGS.keys()].sort((a, b) => b.length - a.length).join('|')})\\b`,
  'g',
);

/** A sentence with each of its nouns and colours replaced by a word of a vocabulary, drawn anew each time. */
export function reword(draft: Draft, scene: Scene, name: VocabularyName, random: Random): Draft {
  const { colours } = VOCABULARIES[name];
  const replace = (word: string): string => {
    const meaning = MEANINGS.get(word)!;
    if ('colour' in meaning) return random.pick(colours[meaning.colour]);
    const noun = nounOf(meaning.kinds, scene, VOCABULARIES[name], random);
    const many = meaning.number === 'either' ? draft.plural : meaning.number === 'many';
    return many ? noun.plural : noun.singular;
  };
  const runs = draft.runs.map((run): Run => ({ ...run, text: run.text.replace(PLAIN_WORDS, replace) }));
  return { ...draft, runs };
}

function nounOf(kinds: readonly KindName[], scene: Scene, vocabulary: Vocabulary, random: Random): Noun {
  if (kinds.length > 1) return kinds.includes('car') ? vocabulary.driving : vocabulary.flying;
  const nouns = vocabulary.nouns[kinds[0]!];
  // A helicopter is an aircraft too.
  const flies = scene.objects.some(({ kind }) => kind === 'helicopter');
  const clear = kinds[0] === 'plane' && flies ? nouns.filter((noun) => noun !== AIRCRAFT) : nouns;
  return random.pick(clear);
}

/** Every word of a vocabulary that is true of an object by itself: names of its kind and of its colour. */
export function labelsIn(name: VocabularyName, kind: KindName, colour: ColourName): string[] {
  const { nouns, colours } = VOCABULARIES[name];
  return [...nouns[kind].map(({ singular }) => singular), ...colours[colour]];
}
