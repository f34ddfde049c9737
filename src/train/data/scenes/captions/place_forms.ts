// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import type { Landmark, Scene } from '../types.js';
import { matching, nounFor, nounPhrase, pairs, present, type Query, words } from './phrase.js';
import {
  extreme,
  isBeyond,
  isBeyondLandmark,
  isOnLandmark,
  nearest,
  sizeExtreme,
  sizeGroups,
  type Verdict,
} from './relations.js';
import type { Draft } from './sentence.js';
import {
  DIRECTIONS,
  EXTREMES,
  LANDMARK_NOUNS,
  LARGE,
  LARGEST,
  NUMBERS,
  SIDES,
  SMALL,
  SMALLEST,
} from './words.js';

/**
 * Queries that at least two objects answer: by kind, by kind and colour; and, if `generic`, by colour or none, the
 * latter not where the background shows things of its own.
 */
function crowds(scene: Scene, generic: boolean): Query[] {
  const { kinds, colours } = present(scene);
  const queries: Query[] = [...kinds.map((k) => ({ kinds: [k] })), ...pairs(scene)];
  if (generic) queries.push(...colours.map((c) => ({ colour: c })));
  if (generic && scene.ambientKinds.length === 0) queries.push({});
  return queries.filter((query) => matching(scene, query).length > 1);
}

/** "the small ships": one kind that falls into small and large ones. */
export function size(scene: Scene, random: Random): Draft | null {
  for (const query of random.shuffle(crowds(scene, false))) {
    const split = sizeGroups(matching(scene, query), scene);
    if (!split) continue;
    const small = random.chance(0.5);
    const targets = small ? split.small : split.large;
    const plural = targets.length > 1;
    const adjective = random.pick(small ? SMALL : LARGE);
    return {
      runs: [{ text: 'the' }, { text: words(query, plural, nounFor(query, random), adjective), name: 0 }],
      groups: [targets],
      plural,
    };
  }
  return null;
}

/** "the largest tank" */
export function sizeSuperlative(scene: Scene, random: Random): Draft | null {
  // The largest thing of all may be a pier or a road, so colour or kind is named.
  for (const query of random.shuffle(crowds(scene, true).filter((q) => q.kinds || q.colour))) {
    const largest = random.chance(0.5);
    const target = sizeExtreme(matching(scene, query), largest, scene);
    if (target === null) continue;
    return superlative(query, random.pick(largest ? LARGEST : SMALLEST), target, random);
  }
  return null;
}

/** "the leftmost car" */
export function placeSuperlative(scene: Scene, random: Random): Draft | null {
  for (const query of random.shuffle(crowds(scene, true))) {
    const direction = random.pick(DIRECTIONS);
    const target = extreme(matching(scene, query), direction, scene);
    if (target === null) continue;
    return superlative(query, random.pick(EXTREMES[direction]), target, random);
  }
  return null;
}

function superlative(query: Query, adjective: string, target: number, random: Random): Draft {
  return {
    runs: [{ text: 'the' }, { text: words(query, false, nounFor(query, random), adjective), name: 0 }],
    groups: [[target]],
    plural: false,
  };
}

/** Queries that exactly one object answers, for the anchor of a relation. */
function anchors(scene: Scene): { query: Query; object: number }[] {
  const { kinds } = present(scene);
  const queries: Query[] = [...kinds.map((k) => ({ kinds: [k] })), ...pairs(scene)];
  return queries.flatMap((query) => {
    const found = matching(scene, query);
    return found.length === 1 ? [{ query, object: found[0]! }] : [];
  });
}

/** Candidates for which the verdict is yes, provided that all are decided and that the words exclude at least one. */
function decided(candidates: readonly number[], judge: (object: number) => Verdict): number[] | null {
  const verdicts = candidates.map(judge);
  if (verdicts.includes(null) || !verdicts.includes(false)) return null;
  const yes = candidates.filter((_, i) => verdicts[i] === true);
  return yes.length > 0 ? yes : null;
}

/** "the red ship left of the blue tank" */
export function relation(scene: Scene, random: Random): Draft | null {
  const crowd = random.shuffle(crowds(scene, true));
  for (const anchor of random.shuffle(anchors(scene))) {
    for (const query of crowd) {
      const candidates = matching(scene, query);
      if (candidates.includes(anchor.object)) continue;
      for (const direction of random.shuffle(DIRECTIONS)) {
        const there = scene.objects[anchor.object]!;
        const targets = decided(candidates, (i) => isBeyond(scene.objects[i]!, there, direction, scene));
        if (!targets) continue;
        return {
          runs: [
            ...headPhrase(query, targets.length, random),
            { text: random.pick(SIDES[direction]) },
            ...nounPhrase(anchor.query, 1, random, undefined, undefined, 'the'),
          ],
          groups: [targets],
          plural: targets.length > 1,
        };
      }
    }
  }
  return null;
}

/** "the car nearest to the white plane" */
export function nearestTo(scene: Scene, random: Random): Draft | null {
  const crowd = random.shuffle(crowds(scene, true));
  for (const anchor of random.shuffle(anchors(scene))) {
    for (const query of crowd) {
      const candidates = matching(scene, query);
      if (candidates.includes(anchor.object)) continue;
      const target = nearest(candidates, anchor.object, scene);
      if (target === null) continue;
      return {
        runs: [
          ...nounPhrase(query, 1, random, 0, undefined, 'the'),
          { text: random.pick(['nearest to', 'closest to']) },
          ...nounPhrase(anchor.query, 1, random, undefined, undefined, 'the'),
        ],
        groups: [[target]],
        plural: false,
      };
    }
  }
  return null;
}

/** "the two red boats left of the pier", "the planes on the runway" */
export function landmark(scene: Scene, random: Random): Draft | null {
  const places = random.shuffle(scene.landmarks.flatMap((mark) => placesOf(mark, scene)));
  const crowd = random.shuffle(crowds(scene, true));
  for (const place of places) {
    for (const query of crowd) {
      const targets = decided(matching(scene, query), place.judge);
      if (!targets) continue;
      return {
        runs: [
          ...headPhrase(query, targets.length, random),
          { text: `${random.pick(place.words)} the ${random.pick(LANDMARK_NOUNS[place.mark.kind])}` },
        ],
        groups: [targets],
        plural: targets.length > 1,
      };
    }
  }
  return null;
}

interface Place {
  mark: Landmark;
  words: readonly string[];
  judge: (object: number) => Verdict;
}

/** What one can say about places with respect to a landmark. */
function placesOf(mark: Landmark, scene: Scene): Place[] {
  const places: Place[] = DIRECTIONS.map((direction) => ({
    mark,
    words: SIDES[direction],
    judge: (i) => isBeyondLandmark(scene.objects[i]!, mark, direction, scene),
  }));
  if (mark.kind === 'runway' || mark.kind === 'road') {
    places.push({ mark, words: ['on'], judge: (i) => isOnLandmark(scene.objects[i]!, mark) });
  }
  return places;
}

/** "the red boats", or with their number. */
function headPhrase(query: Query, count: number, random: Random): ReturnType<typeof nounPhrase> {
  const number = count > 1 && count < NUMBERS.length && random.chance(0.3) ? ` ${NUMBERS[count]}` : '';
  return nounPhrase(query, count, random, 0, undefined, `the${number}`);
}
