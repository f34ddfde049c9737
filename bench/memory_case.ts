// SPDX-License-Identifier: Apache-2.0
// One row of `bench memory`, in a process of its own: `memory_case.ts JSON` prints what was taken, as JSON.
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { ready } from '../src/engine/index.js';
import { Random } from '../src/random.js';
import { buildTask } from '../src/train/build_task.js';
import { defaultConfig, type RunConfig } from '../src/train/config.js';
import { defaultGroups } from '../src/train/groups.js';
import { AdamW } from '../src/train/optimizer.js';
import { Stepper } from '../src/train/run/step.js';
import type { TrainTask } from '../src/train/task.js';

/** A model whose memory is measured. */
export interface MemoryCase {
  name: string;
  /** Preset. */
  model: string;
  overrides?: RunConfig['modelOverrides'];
  /** Side of the picture. */
  size: number;
}

/** Most memory that the process held. */
export interface MemoryTaken {
  gibibytes: number;
  parameters: number;
}

async function trainOnce(task: TrainTask, config: RunConfig): Promise<void> {
  const groups = task.parameterGroups?.() ?? defaultGroups(config);
  const optimizer = new AdamW(task.parameters(), { lr: config.lr, clipNorm: config.clipNorm, groups });
  const batch = await task.batch(0, new Random(1));
  // Fails where loss or gradients are not finite.
  await new Stepper({ task, optimizer, config, ema: null, total: 1 }, true).take(0, batch, false);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { model, overrides, size, train, threads } = JSON.parse(argv[2]!) as MemoryCase & {
    train: boolean;
    threads: number;
  };
  await ready({ engine: 'tensorflow', intraThreads: threads });
  const config: RunConfig = {
    ...defaultConfig(),
    model,
    batchSize: 1,
    imageSize: size,
    ...(overrides === undefined ? {} : { modelOverrides: overrides }),
  };
  const task = await buildTask(config);
  if (train) await trainOnce(task, config);
  else await task.evaluate(1);
  const taken: MemoryTaken = {
    gibibytes: process.resourceUsage().maxRSS / 1024 ** 2,
    parameters: task.model.parameterCount(),
  };
  console.log(JSON.stringify(taken));
}
