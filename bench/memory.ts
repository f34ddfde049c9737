// SPDX-License-Identifier: Apache-2.0
/**
 * How much memory models of published size take, for a prediction and for a training step of one picture, each in a process of
 * its own, and that all numbers they give are finite: `npm run bench -- memory`. Says nothing of time.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '../src/errors.js';
import type { MemoryCase, MemoryTaken } from './memory_case.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, writeDocument, writeResults } from './results.js';

/** What the machine that the project is made for has at least. */
const LIMIT_GIB = 24;

const detr = (backbone: string, size = 800): MemoryCase => ({
  name: `Deformable DETR, ${backbone}`,
  model: 'deformable-detr-mpvit-small',
  overrides: { backbone: { name: backbone } },
  size,
});

const CASES: readonly MemoryCase[] = [
  { name: 'Deformable DETR, ResNet-50', model: 'deformable-detr-r50', size: 800 },
  ...['swin-base', 'mpvit-small', 'coat-small', 'scalemae-large'].map((backbone) => detr(backbone)),
  { name: 'MDETR-G, Swin-B, RoBERTa-base', model: 'mdetr-g', size: 800 },
  { name: 'MDETR, ResNet-101, RoBERTa-base', model: 'mdetr-r101', size: 800 },
  { name: 'ScaleMAE-Det, ViT-L', model: 'scalemae-det', size: 800 },
  // As many pixels as 800 x 1066.
  { name: 'Grounding DINO tiny', model: 'grounding-dino-tiny', size: 928 },
];

const { threads, only } = benchOptions();
const where = machine(0, threads, {});
const rows: string[][] = [];
const results: unknown[] = [];
for (const item of CASES.filter(({ name }) => name.includes(only))) {
  const [prediction, step] = [measure(item, false), measure(item, true)];
  results.push({ ...item, prediction, step });
  const { name, size } = item;
  const row = [
    name,
    `${size} x ${size}`,
    (prediction.parameters / 1e6).toFixed(1),
    prediction.gibibytes.toFixed(1),
    step.gibibytes.toFixed(1),
  ];
  console.log(row.join('  '));
  rows.push(row);
}
const table = markdownTable(
  ['model', 'picture', 'million parameters', 'prediction, GiB', 'training step, GiB'],
  rows,
);
console.log(table);
if (only === '') {
  writeResults('memory', { ...where, limit: LIMIT_GIB, results });
  writeDocument('memory', `${machineLine(where)}\n\n${table}`);
}

/** @throws UserError where the process fails or takes more than there may be */
function measure(item: MemoryCase, train: boolean): MemoryTaken {
  const child = fileURLToPath(new URL('memory_case.ts', import.meta.url));
  const args = ['--import', 'tsx', child, JSON.stringify({ ...item, train, threads })];
  const { status, signal, stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const what = `bench memory: ${item.name}, ${train ? 'training step' : 'prediction'}`;
  if (status !== 0) throw new UserError(`${what}: the process ended with ${signal ?? status}`);
  const taken = JSON.parse(stdout.trim().split('\n').at(-1)!) as MemoryTaken;
  if (taken.gibibytes > LIMIT_GIB) {
    throw new UserError(`${what}: ${taken.gibibytes.toFixed(1)} GiB, more than ${LIMIT_GIB}`);
  }
  return taken;
}
