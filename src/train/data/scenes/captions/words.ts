// SPDX-License-Identifier: Apache-2.0
import type { KindName } from '../kinds/index.js';
import type { LandmarkKind } from '../types.js';

/** A noun and what it may stand for. */
export interface Noun {
  singular: string;
  plural: string;
}

/** A noun whose plural ends in s. */
export const regular = (singular: string): Noun => ({ singular, plural: `${singular}s` });

/** The plain noun of each kind. */
export const NOUNS: Record<KindName, Noun> = {
  ship: regular('ship'),
  plane: regular('plane'),
  helicopter: regular('helicopter'),
  tank: regular('tank'),
  car: regular('car'),
  truck: regular('truck'),
  building: regular('building'),
  container: regular('container'),
};

/** Other nouns that training sentences use for a kind. */
export const SYNONYMS: Record<KindName, readonly Noun[]> = {
  ship: [regular('vessel'), regular('boat')],
  plane: [regular('airplane'), regular('aeroplane')],
  helicopter: [regular('chopper')],
  tank: [regular('storage tank'), regular('oil tank')],
  car: [regular('automobile'), { singular: 'passenger car', plural: 'passenger cars' }],
  truck: [{ singular: 'lorry', plural: 'lorries' }],
  building: [regular('house')],
  container: [regular('shipping container'), { singular: 'cargo box', plural: 'cargo boxes' }],
};

/** Nouns for several kinds at once. */
export const GROUPS: readonly { noun: Noun; kinds: readonly KindName[] }[] = [
  { noun: regular('vehicle'), kinds: ['car', 'truck'] },
  { noun: { singular: 'aircraft', plural: 'aircraft' }, kinds: ['plane', 'helicopter'] },
];

/** Nouns for anything. */
export const GENERIC: readonly Noun[] = [regular('object'), regular('thing')];

/** Nouns of landmarks. */
export const LANDMARK_NOUNS: Record<LandmarkKind, readonly string[]> = {
  pier: ['pier', 'jetty'],
  runway: ['runway', 'airstrip'],
  road: ['road', 'street'],
  shore: ['shore', 'shoreline', 'coast'],
  quay: ['quay', 'quayside'],
};

export const NUMBERS: readonly string[] = [
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
];

export const LARGE = ['large', 'big'] as const;
export const SMALL = ['small', 'little'] as const;
export const LARGEST = ['largest', 'biggest'] as const;
export const SMALLEST = ['smallest', 'tiniest'] as const;

/** Superlatives of place. */
export const EXTREMES = {
  left: ['leftmost'],
  right: ['rightmost'],
  above: ['topmost', 'uppermost'],
  below: ['bottommost', 'lowest'],
} as const;

/** Words for "on that side of". */
export const SIDES = {
  left: ['left of', 'to the left of'],
  right: ['right of', 'to the right of'],
  above: ['above'],
  below: ['below'],
} as const;

export type Direction = keyof typeof SIDES;
export const DIRECTIONS = Object.keys(SIDES) as Direction[];

/** Openings before a noun phrase; `many` is used where the phrase is plural. */
export const OPENINGS: readonly { one: string; many: string; question: boolean }[] = [
  { one: 'find', many: 'find', question: false },
  { one: 'show me', many: 'show me', question: false },
  { one: 'locate', many: 'locate', question: false },
  { one: 'detect', many: 'detect', question: false },
  { one: 'point out', many: 'point out', question: false },
  { one: 'mark', many: 'mark', question: false },
  { one: 'look for', many: 'look for', question: false },
  { one: 'highlight', many: 'highlight', question: false },
  { one: 'I am looking for', many: 'I am looking for', question: false },
  { one: 'where is', many: 'where are', question: true },
];

/** Closing words that change nothing. */
export const TAILS: readonly string[] = ['in the image', 'in this picture', 'in the scene'];
