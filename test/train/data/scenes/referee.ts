// SPDX-License-Identifier: Apache-2.0
import type { Scene, SceneObject } from '../../../../src/train/data/scenes/types.js';

/**
 * Reads a sentence with a small grammar of its own and says which objects it means. It shares nothing with the code
 * that made the sentence: vocabulary, geometry and margins are written anew.
 */
export interface Reading {
  /** Objects meant, ascending. */
  objects: number[];
  /** Whether each naming phrase is singular or plural, with the number of its objects. */
  heads: { singular: boolean; distributive: boolean; count: number; stated: number | null }[];
}

const COLOUR = /^(red|orange|yellow|green|blue|purple|white|black)$/;
const NUMBER = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];
const KIND_WORDS: Record<string, string> = {
  ship: 'ship',
  vessel: 'ship',
  boat: 'ship',
  plane: 'plane',
  airplane: 'plane',
  aeroplane: 'plane',
  helicopter: 'helicopter',
  chopper: 'helicopter',
  tank: 'tank',
  'storage tank': 'tank',
  'oil tank': 'tank',
  car: 'car',
  automobile: 'car',
  'passenger car': 'car',
  truck: 'truck',
  lorry: 'truck',
  building: 'building',
  house: 'building',
  container: 'container',
  'shipping container': 'container',
  'cargo box': 'container',
  vehicle: 'car truck',
  aircraft: 'plane helicopter',
  object: '',
  thing: '',
};
const LANDMARKS: Record<string, string> = {
  pier: 'pier',
  jetty: 'pier',
  runway: 'runway',
  airstrip: 'runway',
  road: 'road',
  street: 'road',
  shore: 'shore',
  shoreline: 'shore',
  coast: 'shore',
  quay: 'quay',
  quayside: 'quay',
};

interface Head {
  kinds: string[];
  colour: string | null;
  adjective: string | null;
  singular: boolean;
  distributive: boolean;
  stated: number | null;
}

export function read(sentence: string, scene: Scene): Reading {
  let text = sentence.toLowerCase().replace(/[.?]$/, '');
  text = text.replace(/ in (the image|this picture|the scene)$/, '');
  text = text.replace(
    /^(find|show me|locate|detect|point out|mark|look for|highlight|i am looking for|where is|where are) /,
    '',
  );
  const parts = text.split(/ (?:and|as well as|plus) /);
  const readings = parts.map((part) => readPart(part, scene));
  return {
    objects: [...new Set(readings.flatMap((r) => r.objects))].sort((a, b) => a - b),
    heads: readings.map(({ head, objects }) => ({ ...head, count: objects.length })),
  };
}

function readPart(text: string, scene: Scene): { head: Head; objects: number[] } {
  const excluded =
    /^(.*) (?:except|but not|other than) the (\w+) ones?$/.exec(text) ??
    /^(.*) that is not (\w+)$/.exec(text);
  if (excluded) {
    const head = readHead(excluded[1]!);
    return { head, objects: answer(head, scene).filter((i) => scene.objects[i]!.colour !== excluded[2]) };
  }
  const where = /^(.*?) (?:to the )?(left of|right of|above|below|nearest to|closest to|on) the (.*)$/.exec(
    text,
  );
  if (!where) {
    const head = readHead(text);
    return { head, objects: answer(head, scene) };
  }
  const head = readHead(where[1]!);
  const candidates = answer(head, scene);
  const relation = where[2]!;
  const landmark = LANDMARKS[where[3]!];
  if (landmark) {
    return { head, objects: candidates.filter((i) => byLandmark(scene, i, relation, landmark)) };
  }
  const anchors = answer(readHead(`the ${where[3]}`), scene);
  if (anchors.length !== 1) throw new Error(`anchor of "${text}" is not unique`);
  const anchor = scene.objects[anchors[0]!]!;
  const others = candidates.filter((i) => i !== anchors[0]);
  if (/nearest|closest/.test(relation)) {
    const distance = (i: number): number =>
      Math.hypot(
        middle(scene.objects[i]!)[0] - middle(anchor)[0],
        middle(scene.objects[i]!)[1] - middle(anchor)[1],
      );
    return { head, objects: [others.reduce((best, i) => (distance(i) < distance(best) ? i : best))] };
  }
  return { head, objects: others.filter((i) => onSide(middle(scene.objects[i]!), middle(anchor), relation)) };
}

function readHead(text: string): Head {
  const colourAfter = /^(.*) that (is|are) (\w+)$/.exec(text);
  const source = colourAfter ? colourAfter[1]! : text;
  const generic = /^(?:everything|anything) (\w+)$/.exec(source);
  if (generic) {
    return {
      kinds: [],
      colour: generic[1]!,
      adjective: null,
      singular: true,
      distributive: true,
      stated: null,
    };
  }
  const tokens = source.split(' ');
  let distributive = false;
  let stated: number | null = null;
  while (/^(the|all|of|every|each|both)$/.test(tokens[0]!) || NUMBER.includes(tokens[0]!)) {
    const token = tokens.shift()!;
    if (token === 'every' || token === 'each') distributive = true;
    if (token === 'both') stated = 2;
    if (NUMBER.includes(token)) stated = NUMBER.indexOf(token);
  }
  let adjective: string | null = null;
  if (/^(large|big|small|little)$|most$|(est)$/.test(tokens[0]!)) adjective = tokens.shift()!;
  let colour = colourAfter ? colourAfter[3]! : null;
  if (COLOUR.test(tokens[0]!)) colour = tokens.shift()!;
  const noun = tokens.join(' ');
  let singular = noun in KIND_WORDS;
  const base = singular
    ? noun
    : noun
        .replace(/lorries$/, 'lorry')
        .replace(/boxes$/, 'box')
        .replace(/s$/, '');
  if (!(base in KIND_WORDS)) throw new Error(`cannot read "${text}": unknown noun "${noun}"`);
  if (noun === 'aircraft') singular = false;
  return {
    kinds: KIND_WORDS[base]!.split(' ').filter(Boolean),
    colour,
    adjective,
    singular,
    distributive,
    stated,
  };
}

function answer(head: Head, scene: Scene): number[] {
  const found = scene.objects.flatMap((o, i) =>
    (head.kinds.length === 0 || head.kinds.includes(o.kind)) &&
    (head.colour === null || head.colour === o.colour)
      ? [i]
      : [],
  );
  if (!head.adjective) return found;
  const value: Record<string, (o: SceneObject) => number> = {
    leftmost: (o) => -middle(o)[0],
    rightmost: (o) => middle(o)[0],
    topmost: (o) => -middle(o)[1],
    uppermost: (o) => -middle(o)[1],
    bottommost: (o) => middle(o)[1],
    lowest: (o) => middle(o)[1],
    largest: (o) => o.area,
    biggest: (o) => o.area,
    smallest: (o) => -o.area,
    tiniest: (o) => -o.area,
  };
  const score = value[head.adjective];
  if (score) {
    const at = (i: number): number => score(scene.objects[i]!);
    return [found.reduce((best, i) => (at(i) > at(best) ? i : best))];
  }
  // Large or small: cut at the widest gap between lengths.
  const sizes = found.map((i) => scene.objects[i]!.size).sort((a, b) => a - b);
  let cut = 0;
  let gap = 0;
  sizes.slice(1).forEach((s, i) => {
    if (s / sizes[i]! > gap) {
      gap = s / sizes[i]!;
      cut = (s + sizes[i]!) / 2;
    }
  });
  if (gap < 1.3) throw new Error(`sizes ${sizes.join(', ')} do not fall into two groups`);
  const large = /^(large|big)$/.test(head.adjective);
  return found.filter((i) => scene.objects[i]!.size > cut === large);
}

function middle(o: SceneObject): [number, number] {
  return [o.box[0] + (o.box[2] - o.box[0]) / 2, o.box[1] + (o.box[3] - o.box[1]) / 2];
}

function onSide(a: readonly [number, number], b: readonly [number, number], relation: string): boolean {
  if (relation === 'left of') return a[0] < b[0];
  if (relation === 'right of') return a[0] > b[0];
  return relation === 'above' ? a[1] < b[1] : a[1] > b[1];
}

/** By the foot of the perpendicular from the object to the landmark's middle line. */
function byLandmark(scene: Scene, index: number, relation: string, kind: string): boolean {
  const marks = scene.landmarks.filter((m) => m.kind === kind);
  if (marks.length !== 1) throw new Error(`the ${kind} is not unique`);
  const { axis, width } = marks[0]!;
  const [x, y] = middle(scene.objects[index]!);
  const [dx, dy] = [axis[1][0] - axis[0][0], axis[1][1] - axis[0][1]];
  const t = ((x - axis[0][0]) * dx + (y - axis[0][1]) * dy) / (dx * dx + dy * dy);
  const foot: [number, number] = [axis[0][0] + t * dx, axis[0][1] + t * dy];
  if (relation === 'on') return Math.hypot(x - foot[0], y - foot[1]) < width / 2;
  return onSide([x, y], foot, relation);
}
