// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import { KIND_NAMES, type KindName } from '../kinds/index.js';
import { COLOURS, type ColourName } from '../palette.js';
import type { Scene } from '../types.js';
import type { Run } from './sentence.js';
import { GENERIC, NOUNS, type Noun, SYNONYMS } from './words.js';

/** What a noun phrase asks of an object; no kinds means any kind. */
export interface Query {
  kinds?: readonly KindName[];
  colour?: ColourName;
}

/** Indices of the objects that answer a query. */
export function matching(scene: Scene, query: Query): number[] {
  const found: number[] = [];
  scene.objects.forEach((object, i) => {
    if (query.kinds && !query.kinds.includes(object.kind)) return;
    if (query.colour && query.colour !== object.colour) return;
    found.push(i);
  });
  return found;
}

/** Whether a scene holds the distractors that make the words of a phrase needed (see `hasDistractors`). */
export function hasDistractors(scene: Scene, targets: readonly number[]): boolean {
  return targets.some((t) => {
    const { kind, colour } = scene.objects[t]!;
    const others = scene.objects.filter((_, i) => i !== t);
    return (
      others.some((o) => o.kind === kind && o.colour !== colour) &&
      others.some((o) => o.colour === colour && o.kind !== kind)
    );
  });
}

/** Kinds that sentences may speak of in this scene. */
export function speakable(scene: Scene): KindName[] {
  return KIND_NAMES.filter((kind) => !scene.ambientKinds.includes(kind));
}

/** Every kind and every colour that occurs, in the order of the tables. */
export function present(scene: Scene): { kinds: KindName[]; colours: ColourName[] } {
  const kinds = new Set(scene.objects.map((o) => o.kind));
  const colours = new Set(scene.objects.map((o) => o.colour));
  return { kinds: KIND_NAMES.filter((k) => kinds.has(k)), colours: COLOURS.filter((c) => colours.has(c)) };
}

/** Queries by colour and kind that something in the scene answers. */
export function pairs(scene: Scene): Query[] {
  const { kinds, colours } = present(scene);
  return kinds
    .flatMap((kind) => colours.map((colour): Query => ({ kinds: [kind], colour })))
    .filter((query) => matching(scene, query).length > 0);
}

/** Picks a query, rather one whose answers have distractors. */
export function pickQuery(scene: Scene, queries: readonly Query[], random: Random): Query | null {
  if (queries.length === 0) return null;
  const hard = queries.filter((query) => hasDistractors(scene, matching(scene, query)));
  return random.pick(hard.length > 0 && random.chance(0.9) ? hard : queries);
}

/** A noun for a query: now and then a synonym. */
export function nounFor(query: Query, random: Random, synonymRate = 0.12): Noun {
  const kind = query.kinds?.[0];
  if (kind === undefined) return random.pick(GENERIC);
  return random.chance(synonymRate) ? random.pick(SYNONYMS[kind]) : NOUNS[kind];
}

/** Adjectives and noun of a query as words, without a determiner. */
export function words(query: Query, plural: boolean, noun: Noun, adjective = ''): string {
  return [adjective, query.colour ?? '', plural ? noun.plural : noun.singular].filter(Boolean).join(' ');
}

/** "the red ships" and the like for the objects of group `name`; sometimes "the ships that are red". */
export function nounPhrase(
  query: Query,
  count: number,
  random: Random,
  name: number | undefined,
  noun: Noun = nounFor(query, random),
  determiner: string = random.chance(0.78) ? 'the' : '',
): Run[] {
  const plural = count !== 1;
  const named = (text: string): Run => (name === undefined ? { text } : { text, name });
  const article: Run[] = determiner ? [{ text: determiner }] : [];
  if (query.colour && query.kinds && name !== undefined && random.chance(0.05)) {
    const link = plural ? 'that are' : 'that is';
    return [...article, named(words({}, plural, noun)), { text: link }, named(query.colour)];
  }
  return [...article, named(words(query, plural, noun))];
}
