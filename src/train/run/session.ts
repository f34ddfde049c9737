// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type BestResult, saveCheckpoint, saveModelFolder } from '../checkpoint.js';
import type { RunConfig } from '../config/schema.js';
import type { Ema } from '../ema.js';
import type { RunLog } from '../log.js';
import type { AdamW } from '../optimizer.js';
import type { Figures, TrainTask } from '../task.js';

/** What a session is made of; all of it is fixed for a run. */
export interface SessionParts {
  /** Run folder. */
  path: string;
  config: RunConfig;
  versions: Record<string, string>;
  task: TrainTask;
  optimizer: AdamW;
  ema: Ema | null;
  log: RunLog;
  /** Steps of the whole run. */
  total: number;
}

/** A run in progress: how far it is, and what is done between steps. */
export class Session {
  /** Figures of the last evaluation. */
  figures: Figures | null = null;
  private evaluatedAt = -1;
  private savedAt = -1;
  private drawnAt = -1;

  constructor(
    readonly parts: SessionParts,
    /** Optimizer steps done. */
    public step: number,
    public best: BestResult | null,
  ) {}

  /** Passes through the data done. */
  get epoch(): number {
    return Number((this.step / this.parts.task.stepsPerEpoch).toFixed(4));
  }

  /** Whether something that happens every `interval` steps (0 = never) is due. */
  due(interval: number): boolean {
    return interval > 0 && this.step % interval === 0;
  }

  /** Evaluates (with the averages, where there are any) unless this step has been; true if it is the best so far. */
  async evaluate(): Promise<boolean> {
    if (this.evaluatedAt === this.step) return false;
    const { task, config, log } = this.parts;
    const { step, epoch } = this;
    const began = performance.now();
    const figures = await this.withAverages(() => task.evaluate(config.evalLimit || undefined));
    const seconds = (performance.now() - began) / 1000;
    this.figures = figures;
    this.evaluatedAt = step;
    log.evaluation({ kind: 'eval', step, epoch, figures, seconds });
    await log.curves();
    const value = figures[task.bestFigure];
    if (value === undefined || Number.isNaN(value) || (this.best && value <= this.best.value)) return false;
    this.best = { figure: task.bestFigure, value, step };
    return true;
  }

  /** Draws sample pictures into `RUN/samples/step-N/`. */
  async draw(): Promise<void> {
    if (this.drawnAt === this.step) return;
    this.drawnAt = this.step;
    const { path, task, log } = this.parts;
    const folder = join(path, 'samples', `step-${String(this.step).padStart(8, '0')}`);
    mkdirSync(folder, { recursive: true });
    log.samples(this.step, await this.withAverages(() => task.samples(folder, this.step)));
  }

  /** Writes a checkpoint, unless this step has one and nothing is new. */
  async save(isBest: boolean): Promise<void> {
    if (this.savedAt === this.step && !isBest) return;
    this.savedAt = this.step;
    const { path, config, versions, task, optimizer, ema, log } = this.parts;
    const { step, epoch, best } = this;
    const folder = await saveCheckpoint(
      path,
      { model: task.model, optimizer, ema },
      { step, epoch, seed: config.seed, config, best, versions },
      { best: isBest, keep: config.keepCheckpoints, extraFiles: await task.describe() },
    );
    log.event(step, 'checkpoint', `saved ${folder}${isBest ? ' (best)' : ''}`, { folder, isBest });
  }

  /** Writes `RUN/model/`, ready to be loaded; returns its path. */
  async export(): Promise<string> {
    const { path, task } = this.parts;
    const folder = join(path, 'model');
    const files = await task.describe();
    await this.withAverages(async () => saveModelFolder(folder, task.model, files));
    return folder;
  }

  private withAverages<T>(use: () => Promise<T>): Promise<T> {
    const { ema } = this.parts;
    return ema ? ema.during(use) : use();
  }
}
