// SPDX-License-Identifier: Apache-2.0
// Where the time of Deformable DETR R50 goes, a forward pass and a training step, by op and by module.
import { type ProfileRow, ready, sumProfile } from '../src/engine/index.js';
import { moduleOf, profileModel } from '../src/profile_model.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';

const MODEL = 'deformable-detr-r50';
const SIZE = 800;
/** Rows of each table; the rest is added up in a last one. */
const TOP = 12;

const { threads, rounds, anyway } = benchOptions();
const load = quietLoad(anyway);
await ready({ engine: 'tensorflow', intraThreads: threads });
const where = machine(load, threads, {});
const tables: string[] = [];
const results: Record<string, unknown> = {};
for (const [title, train] of [
  ['forward', false],
  ['training step', true],
] as const) {
  const profile = await profileModel(MODEL, { size: SIZE, runs: rounds, train });
  const byOp = sumProfile(profile, ({ op }) => op);
  const byModule = sumProfile(profile, (node) => moduleOf(node) || '(none)');
  results[title] = { wall: profile.wall, byOp, byModule };
  tables.push(
    `**${title}**, ${profile.wall.toFixed(0)} ms with the profiler on`,
    shares('op', byOp),
    shares('module', byModule),
  );
}
const text = tables.join('\n\n');
console.log(text);
writeResults('profile', { ...where, model: MODEL, size: SIZE, ...results });
writeDocument('profile', `${machineLine(where)}\n\n${text}`);

function shares(what: string, rows: readonly ProfileRow[]): string {
  const left = rows.slice(TOP);
  const sum = (of: (row: ProfileRow) => number) => left.reduce((total, row) => total + of(row), 0);
  const rest: ProfileRow = {
    name: '(others)',
    calls: sum(({ calls }) => calls),
    milliseconds: sum(({ milliseconds }) => milliseconds),
    share: sum(({ share }) => share),
  };
  return markdownTable(
    [what, 'calls', 'ms', '%'],
    [...rows.slice(0, TOP), rest].map(({ name, calls, milliseconds, share }) => [
      `\`${name}\``,
      String(calls),
      milliseconds.toFixed(1),
      (100 * share).toFixed(1),
    ]),
  );
}
