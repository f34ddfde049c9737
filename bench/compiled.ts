// SPDX-License-Identifier: Apache-2.0
// Times a training step of mdetr-g-tiny operation by operation and compiled, in turns, on the same batch: forward, matcher,
// losses, backward, clipping, AdamW and averages.
import { ready, type TraceReport } from '../src/engine/index.js';
import { Random } from '../src/random.js';
import { defaultConfig } from '../src/train/config.js';
import { Ema } from '../src/train/ema.js';
import { buildGroundingTask } from '../src/train/grounding/build_task.js';
import { defaultGroups } from '../src/train/groups.js';
import { AdamW } from '../src/train/optimizer.js';
import { Stepper } from '../src/train/run/step.js';
import { benchOptions } from './options.js';
import { printTable } from './timing.js';

/** Steps of each kind that are not counted, and rounds that are, at least. */
const WARM_UP = 2;
const LEAST_ROUNDS = 10;

const BATCHES = [1, 8];

/** Fastest wall time and least processor time of a step, in milliseconds. */
interface Times {
  wall: number;
  processor: number;
}

/** One model, with steps of one kind. */
async function makeSteps(batchSize: number, compiled: boolean) {
  const config = { ...defaultConfig(), batchSize };
  const task = await buildGroundingTask(config);
  const optimizer = new AdamW(task.parameters(), { lr: 1e-5, clipNorm: 1, groups: defaultGroups(config) });
  const ema = new Ema(optimizer.store, 0.99);
  const traces: TraceReport[] = [];
  const parts = { task, optimizer, config, ema, total: 1000 };
  const stepper = new Stepper(parts, compiled, (report) => traces.push(report));
  const batch = await task.batch(0, new Random(1));
  const times: Times = { wall: Number.POSITIVE_INFINITY, processor: Number.POSITIVE_INFINITY };
  const began = performance.now();
  await stepper.take(0, batch, false);
  const first = performance.now() - began;
  const run = async () => {
    const [wall, processor] = [performance.now(), process.cpuUsage()];
    await stepper.take(1, batch, false);
    const { user, system } = process.cpuUsage(processor);
    times.wall = Math.min(times.wall, performance.now() - wall);
    times.processor = Math.min(times.processor, (user + system) / 1000);
  };
  const dispose = () => {
    stepper.dispose();
    task.disposeBatch(batch);
    optimizer.dispose();
    task.dispose();
  };
  return { times, run, first, traces, dispose };
}

const { threads, rounds } = benchOptions();
await ready({ engine: 'tensorflow', intraThreads: threads });
const rows: (string | number)[][] = [];
for (const batchSize of BATCHES) {
  const kinds = [await makeSteps(batchSize, false), await makeSteps(batchSize, true)] as const;
  for (let i = 0; i < WARM_UP; i++) for (const { run } of kinds) await run();
  for (const { times } of kinds)
    Object.assign(times, { wall: Number.POSITIVE_INFINITY, processor: Number.POSITIVE_INFINITY });
  for (let i = 0; i < Math.max(rounds, LEAST_ROUNDS); i++) for (const { run } of kinds) await run();
  const [eager, compiled] = kinds;
  rows.push([
    String(batchSize),
    eager.times.wall,
    compiled.times.wall,
    eager.times.wall / compiled.times.wall,
    eager.times.processor,
    compiled.times.processor,
    compiled.first,
    compiled.traces[0]!.nodes,
  ]);
  for (const { dispose } of kinds) dispose();
}
printTable(
  'training step of mdetr-g-tiny',
  [
    'pictures',
    'eager',
    'compiled',
    'times faster',
    'eager, processor',
    'compiled, processor',
    'first call',
    'nodes',
  ],
  rows,
);
