// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { type BestResult, loadCheckpoint, loadWeights } from './checkpoint.js';
import type { RunConfig } from './config/schema.js';
import { Ema } from './ema.js';
import { defaultGroups } from './groups.js';
import { type Interrupt, watchInterrupt } from './interrupt.js';
import { type Output, RunLog, type TrainRecord } from './log.js';
import { AdamW } from './optimizer.js';
import { BatchFeed } from './run/batch_feed.js';
import { Session } from './run/session.js';
import { Stepper, type StepResult } from './run/step.js';
import { changedKeys, describeRun, prepareRunFolder } from './run_folder.js';
import type { Figures, TrainTask } from './task.js';
import { collectVersions } from './versions.js';

export interface RunOptions {
  /** Builds model and data. The engine must be ready. The run disposes the task at its end. */
  makeTask(config: RunConfig): Promise<TrainTask>;
  /** Where progress is shown; default the process's standard output. */
  output?: Output;
  /** Whether Ctrl-C and SIGTERM save and stop; default true. */
  signals?: boolean;
  /** Asked after every step (steps done): true saves and stops, as Ctrl-C does. */
  shouldStop?(step: number): boolean;
}

export interface RunResult {
  /** The run folder. */
  run: string;
  /** Steps done, those before a resume included. */
  step: number;
  /** Figures of the last evaluation. */
  figures: Figures | null;
  best: BestResult | null;
  /** True when the user stopped it; a checkpoint was written. Exit code: EXIT_CODES.interrupted. */
  interrupted: boolean;
  /** Folder with the finished model (averaged weights, ready to load); null when interrupted. */
  model: string | null;
}

/**
 * Trains as `config` says and leaves a run folder that explains itself: `config.yaml`, `versions.json`, `log.jsonl`,
 * `tensorboard/`, `curves.svg`, `curves.png`, `samples/`, `checkpoints/` and at the end `model/`.
 *
 * @throws UserError for a bad configuration or checkpoint, and (exit code `diverged`) when loss or gradients stop being
 *   finite; nothing of that step is applied, and the last checkpoint is good
 */
export async function runTraining(config: RunConfig, options: RunOptions): Promise<RunResult> {
  // ==== Folder ====
  const { path, resume } = prepareRunFolder(config);
  const versions = collectVersions();

  // ==== Data and model ====
  const task = await options.makeTask(config);
  const total = config.epochs === null ? config.steps : config.epochs * task.stepsPerEpoch;

  // ==== Optimizer ====
  const optimizer = new AdamW(task.parameters(), {
    lr: config.lr,
    betas: [config.beta1, config.beta2],
    clipNorm: config.clipNorm,
    groups: task.parameterGroups?.() ?? defaultGroups(config),
  });
  const ema = config.ema > 0 ? new Ema(optimizer.store, config.ema) : null;
  let log: RunLog | null = null;
  let interrupt: Interrupt | null = null;
  try {
    // ==== Resume ====
    // Where the weights come from, first that applies:
    //   1. `resume` (a path, or "auto" with a checkpoint in `out`): weights, averages, moments, step; continues exactly
    //   2. `load`: weights alone, averaged ones if the folder has them; from step 0
    //   3. what the task was built with: fresh weights from the seed
    const state = resume === null ? null : loadCheckpoint(resume, { model: task.model, optimizer, ema });
    const loaded = state || config.load === null ? null : loadWeights(config.load, task.model);
    if (loaded) ema?.capture();
    const step = state?.step ?? 0;
    const origin = state
      ? `${resume} after step ${step}${changedKeys(state.config, config)}`
      : (loaded ?? 'fresh weights');
    describeRun(path, config, versions);

    // ==== Log ====
    const running = new RunLog(path, config, {
      output: options.output ?? process.stdout,
      total,
      // A run that was broken off before its first checkpoint starts anew; its old log goes.
      from: state || config.resume === 'auto' ? step : null,
    });
    log = running;
    const session = new Session(
      { path, config, versions, task, optimizer, ema, log, total },
      step,
      state?.best ?? null,
    );
    if (options.signals ?? true) {
      interrupt = watchInterrupt(() =>
        running.say('stopping: finishing and saving this step; Ctrl-C again stops at once'),
      );
    }
    log.event(step, 'start', `${path}: steps ${step + 1} to ${total} from ${origin}`, { versions, origin });

    // ==== Loop ====
    if (config.evalAtStart && !state) await session.evaluate();
    const asked = () => Boolean(interrupt?.requested || options.shouldStop?.(session.step));
    const interrupted = await trainLoop(session, asked);

    // ==== End ====
    const model = interrupted ? await stopEarly(session) : await finish(session);
    const { figures, best } = session;
    return { run: path, step: session.step, figures, best, interrupted, model };
  } catch (error) {
    log?.failed(error);
    throw error;
  } finally {
    interrupt?.release();
    log?.close();
    optimizer.dispose();
    task.dispose();
  }
}

/** Steps until the end, or until `asked` says stop; true in that case. */
async function trainLoop(session: Session, asked: () => boolean): Promise<boolean> {
  const { task, config, log, total } = session.parts;
  const stepper = new Stepper(session.parts, !config.eager, ({ count, reason, milliseconds }) => {
    const seconds = (milliseconds / 1000).toFixed(1);
    // One cause on the screen, all of them in the log.
    const why = count === 1 ? 'first step' : reason.split(';', 1)[0];
    log.event(session.step, 'compiled', `compiled the training step in ${seconds} s (${why})`, {
      count,
      reason,
    });
  });
  const feed = new BatchFeed(task, config.seed, total);
  let lap = { at: performance.now(), step: session.step };
  try {
    while (session.step < total) {
      const batch = await feed.take(session.step);
      const done = session.step + 1;
      const logged = done % config.logEvery === 0 || done === total;
      let result: StepResult;
      try {
        const taken = stepper.take(session.step, batch, logged);
        // Made on this thread while the step computes on others.
        feed.ahead(done);
        result = await taken;
      } finally {
        task.disposeBatch(batch);
      }
      session.step = done;
      await feed.settle();
      const now = performance.now();
      log.step(done, logged ? recordOf(session, result, (now - lap.at) / 1000 / (done - lap.step)) : null);
      if (logged) lap = { at: now, step: done };

      await nextTurn(); // lets signals in
      if (asked() && done < total) return true;
      const before = performance.now();
      await betweenSteps(session);
      lap.at += performance.now() - before;
    }
    return false;
  } finally {
    stepper.dispose();
    await feed.close();
  }
}

/** Evaluates, draws and saves where it is due. */
async function betweenSteps(session: Session): Promise<void> {
  const { evalEvery, sampleEvery, checkpointEvery } = session.parts.config;
  const isBest = session.due(evalEvery) && (await session.evaluate());
  if (session.due(sampleEvery)) await session.draw();
  if (isBest || session.due(checkpointEvery)) await session.save(isBest);
}

function recordOf(session: Session, result: StepResult, secondsPerStep: number): TrainRecord {
  const { loss, parts, gradNorm, lr } = result;
  return {
    kind: 'train',
    step: session.step,
    epoch: session.epoch,
    loss,
    parts: parts ?? {},
    gradNorm,
    lr,
    secondsPerStep,
    tensors: tf.memory().numTensors,
    memoryMiB: process.memoryUsage.rss() / 2 ** 20,
  };
}

/** The user stopped the run: save, draw the curves, say how to go on. */
async function stopEarly(session: Session): Promise<null> {
  const { log, path } = session.parts;
  await session.save(false);
  await log.curves();
  log.event(session.step, 'stopped', `stopped after step ${session.step}; go on with --resume ${path}`);
  return null;
}

/** The run is done: last evaluation, pictures and checkpoint, and the model ready to be loaded. */
async function finish(session: Session): Promise<string> {
  const { log, path, config } = session.parts;
  const isBest = await session.evaluate();
  if (config.sampleEvery > 0) await session.draw();
  await session.save(isBest);
  const model = await session.export();
  await log.curves();
  log.event(
    session.step,
    'end',
    `finished: the model is in ${model}, its curves in ${join(path, 'curves.png')}`,
  );
  return model;
}
