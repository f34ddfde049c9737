// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import type { Span } from '../../types.js';
import type { Caption } from '../types.js';
import { OPENINGS } from './words.js';

/**
 * A run of words of a sentence. A run with a `name` names the objects of that group; only such words become spans:
 * adjectives, superlatives and the noun, without article, number, "all", relations and their anchors.
 */
export interface Run {
  text: string;
  name?: number;
}

/** A sentence in the making: its words, and for each group the objects it names. */
export interface Draft {
  runs: Run[];
  groups: readonly (readonly number[])[];
  /** Whether the first noun phrase is plural, for "where is/are". */
  plural: boolean;
  /** No opening fits ("ships, please"). */
  plain?: boolean;
}

/** Joins the runs, adds an opening, case and end mark, and turns named runs into spans. */
export function finish(draft: Draft, form: string, random: Random): Caption {
  const runs: Run[] = [...draft.runs];
  let end = '';
  if (draft.plain !== true && random.chance(0.4)) {
    const opening = random.pick(OPENINGS);
    runs.unshift({ text: draft.plural ? opening.many : opening.one });
    end = opening.question ? (random.chance(0.7) ? '?' : '') : random.chance(0.2) ? '.' : '';
  } else if (random.chance(0.12)) {
    end = '.';
  }
  let text = '';
  let length = 0;
  const spans: Span[][] = draft.groups.map(() => []);
  for (const run of runs) {
    const spaced = length > 0 && run.text !== ',';
    if (spaced) text += ' ';
    const begin = length + (spaced ? 1 : 0);
    text += run.text;
    length = begin + [...run.text].length;
    if (run.name !== undefined) spans[run.name]!.push([begin, length]);
  }
  if (random.chance(0.25)) text = text.slice(0, 1).toUpperCase() + text.slice(1);
  text += end;
  const referred = new Map<number, Span[]>();
  draft.groups.forEach((objects, group) => {
    for (const object of objects) {
      referred.set(object, [...(referred.get(object) ?? []), ...spans[group]!]);
    }
  });
  return {
    text,
    form,
    referred: [...referred].sort((a, b) => a[0] - b[0]).map(([object, its]) => ({ object, spans: its })),
  };
}
