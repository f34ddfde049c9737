// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import type { Span } from '../../types.js';
import type { Caption } from '../types.js';
import { OPENINGS, TAILS } from './words.js';

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
}

/** Joins the runs, adds an opening, a closing, case and end mark, and turns named runs into spans. */
export function finish(draft: Draft, form: string, random: Random): Caption {
  const runs: Run[] = [...draft.runs];
  let end = random.chance(0.15) ? '.' : '';
  // "find red ship" is no English: a singular without an article stands alone.
  const bare = !draft.plural && /^(?!(the|every|each|all|everything|anything)\b)/.test(runs[0]!.text);
  if (!bare && random.chance(0.4)) {
    const opening = random.pick(OPENINGS);
    runs.unshift({ text: draft.plural ? opening.many : opening.one });
    if (opening.question) end = random.chance(0.7) ? '?' : '';
  }
  if (random.chance(0.06)) runs.push({ text: random.pick(TAILS) });
  let text = '';
  let length = 0;
  const spans: Span[][] = draft.groups.map(() => []);
  for (const run of runs) {
    if (length > 0) text += ' ';
    const begin = length + (length > 0 ? 1 : 0);
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
