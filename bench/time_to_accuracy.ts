// SPDX-License-Identifier: Apache-2.0
// Trains mdetr-g-tiny from fresh weights by its recipes until AP50 on the validation scenes reaches a goal: how many minutes
// and pictures that takes, and how many pictures a second.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ready } from '../src/engine/index.js';
import { UserError } from '../src/errors.js';
import { buildTask } from '../src/train/build_task.js';
import { type RunConfig, resolveConfig } from '../src/train/config.js';
import { type EvalRecord, readRecords, type TrainRecord } from '../src/train/log.js';
import { runTraining } from '../src/train/run.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';

/** AP50 on the validation scenes that ends the run. */
const GOAL = 0.8;
/** Steps between two looks at AP50. */
const LOOK_EVERY = 250;

/** One half of the training, measured. */
interface Half {
  recipe: string;
  steps: number;
  pictures: number;
  /** Seconds of training steps, with the making of their pictures, without evaluation. */
  seconds: number;
  /** Seconds from the start of the command to its end. */
  wall: number;
  evaluations: { step: number; AP50: number; AP: number }[];
}

async function trainHalf(recipe: string, changes: Partial<RunConfig>, until: number | null): Promise<Half> {
  const config = await resolveConfig({ flags: { recipe, ...changes } });
  const out = config.out!;
  const reached = () => until !== null && (evaluations(out).at(-1)?.AP50 ?? 0) >= until;
  const began = performance.now();
  const { step } = await runTraining(config, {
    makeTask: buildTask,
    // AP50 of a step is in the log when the next one is done.
    shouldStop: (done) => done % LOOK_EVERY === 1 && reached(),
  });
  if (until !== null && !reached()) {
    throw new UserError(`bench: AP50 ${until} was not reached in ${step} steps; ${out} has the log`);
  }
  const steps = readRecords(out).filter((record): record is TrainRecord => record.kind === 'train');
  const seconds = steps.reduce((sum, { secondsPerStep }) => sum + secondsPerStep, 0) * config.logEvery;
  const wall = (performance.now() - began) / 1000;
  const pictures = step * config.batchSize;
  return { recipe, steps: step, pictures, seconds, wall, evaluations: evaluations(out) };
}

function evaluations(run: string): Half['evaluations'] {
  return readRecords(run)
    .filter((record): record is EvalRecord => record.kind === 'eval')
    .map(({ step, figures }) => ({ step, AP50: figures.AP50!, AP: figures.AP! }));
}

const { threads, anyway } = benchOptions();
const load = quietLoad(anyway);
await ready({ engine: 'tensorflow', intraThreads: threads });
const folder = mkdtempSync(join(tmpdir(), 'tfgeo-time-to-accuracy-'));
try {
  const first = join(folder, 'encoder');
  const second = join(folder, 'whole');
  const halves = [
    await trainHalf('mdetr-g-tiny-encoder', { out: first, evalEvery: 0, checkpointEvery: 0 }, null),
    await trainHalf(
      'mdetr-g-tiny',
      { out: second, load: join(first, 'model'), evalEvery: LOOK_EVERY, checkpointEvery: 0, sampleEvery: 0 },
      GOAL,
    ),
  ];
  report(halves);
} catch (error) {
  const kept = join(tmpdir(), 'tfgeo-time-to-accuracy-failed');
  cpSync(folder, kept, { recursive: true });
  throw error;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function report(halves: Half[]): void {
  const sum = (of: (half: Half) => number) => halves.reduce((total, half) => total + of(half), 0);
  const all: Half = {
    recipe: `both, to AP50 ${GOAL}`,
    steps: sum((half) => half.steps),
    pictures: sum((half) => half.pictures),
    seconds: sum((half) => half.seconds),
    wall: sum((half) => half.wall),
    evaluations: [],
  };
  const table = markdownTable(
    ['recipe', 'steps', 'pictures a second', 'minutes of training', 'minutes in all', 'last AP50'],
    [...halves, all].map((half) => [
      half.recipe,
      String(half.steps),
      (half.pictures / half.seconds).toFixed(1),
      (half.seconds / 60).toFixed(1),
      (half.wall / 60).toFixed(1),
      half.evaluations.at(-1)?.AP50.toFixed(3) ?? '',
    ]),
  );
  console.log(table);
  const where = machine(load, threads, {});
  writeResults('time_to_accuracy', { ...where, goal: GOAL, halves });
  writeDocument('time_to_accuracy', `${machineLine(where)}\n\n${table}`);
}
