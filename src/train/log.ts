// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Chart, smooth, writeCharts } from '../viz/curves.js';
import { configToYaml } from './config/file.js';
import type { RunConfig } from './config/schema.js';
import { createProgress, type Output, type Progress } from './log/progress.js';
import { type EvalRecord, JsonLines, type LogRecord, readRecords, type TrainRecord } from './log/records.js';
import { type HyperParameter, TensorBoardWriter } from './log/tensorboard.js';

export { formatSeconds, type Output } from './log/progress.js';
export {
  type EvalRecord,
  type EventRecord,
  LOG_FILE,
  type LogRecord,
  readRecords,
  type TrainRecord,
} from './log/records.js';
export { TensorBoardWriter } from './log/tensorboard.js';

/** Everything a run tells: the terminal, `log.jsonl`, TensorBoard, and at the end the curves. */
export class RunLog {
  private readonly lines: JsonLines;
  private readonly board: TensorBoardWriter | null;
  private readonly progress: Progress;
  private lastStep: number;

  /** @param from the step a resumed run continues after, or null for a new run */
  constructor(
    private readonly run: string,
    config: RunConfig,
    { output, total, from }: { output: Output; total: number; from: number | null },
  ) {
    this.lines = new JsonLines(run, from);
    this.lastStep = from ?? 0;
    this.progress = createProgress(output, total, from ?? 0);
    this.board = config.tensorboard ? new TensorBoardWriter(join(run, 'tensorboard')) : null;
    if (from !== null) this.board?.resumed(from + 1);
    this.board?.text(0, 'config', `\`\`\`yaml\n${configToYaml(config)}\`\`\``);
    this.board?.hparams(hyperParameters(config), ['eval/AP50', 'train/loss']);
  }

  /** After every step; `record` on those that are logged. */
  step(step: number, record: TrainRecord | null): void {
    this.lastStep = step;
    this.progress.step(step, record);
    if (!record) return;
    this.lines.write(record);
    const { loss, parts, gradNorm, lr, secondsPerStep, tensors, memoryMiB } = record;
    this.board?.scalars(step, {
      'train/loss': loss,
      'train/gradNorm': gradNorm,
      'machine/secondsPerStep': secondsPerStep,
      'machine/tensors': tensors,
      'machine/memoryMiB': memoryMiB,
      ...prefixed('loss/', parts),
      ...prefixed('lr/', lr),
    });
  }

  evaluation(record: EvalRecord): void {
    this.lines.write(record);
    this.board?.scalars(record.step, prefixed('eval/', record.figures));
    const shown = Object.entries(record.figures).filter(([name]) => !name.includes('/'));
    const figures = shown.map(([name, value]) => `${name} ${value.toFixed(3)}`).join('  ');
    this.say(`evaluated after step ${record.step}: ${figures}  (${record.seconds.toFixed(1)} s)`);
  }

  /** Sample pictures; PNG files also go to TensorBoard. */
  samples(step: number, paths: readonly string[]): void {
    for (const path of paths.filter((one) => one.endsWith('.png'))) {
      this.board?.image(step, `samples/${basename(path, '.png')}`, readFileSync(path));
    }
  }

  /** Something that happened, on the terminal (`line`) and in the log. */
  event(step: number, event: string, line: string, detail?: unknown): void {
    this.lines.write({ kind: 'event', step, event, detail });
    this.say(line);
  }

  /** Notes in the log, not on the terminal, what ended the run. */
  failed(error: unknown): void {
    this.lines.write({ kind: 'event', step: this.lastStep, event: 'failed', detail: String(error) });
  }

  say(line: string): void {
    this.progress.say(line);
  }

  /** Draws `curves.svg` and `curves.png` from the whole log of the run. */
  curves(): Promise<string[]> {
    return writeCharts(join(this.run, 'curves'), runCharts(readRecords(this.run)));
  }

  close(): void {
    this.progress.stop();
    this.lines.close();
    this.board?.close();
  }
}

/** Charts of a run: loss, the parts of the loss, the figures of the evaluations, learning rate. */
export function runCharts(records: readonly LogRecord[]): Chart[] {
  const train = records.filter((record) => record.kind === 'train');
  const evals = records.filter((record) => record.kind === 'eval');
  // Single batches differ by more than many steps of learning.
  const window = Math.max(15, train.length / 20);
  const loss = train.map(({ step, loss }) => [step, loss] as const);
  const parts = [...new Set(train.flatMap((record) => Object.keys(record.parts)))];
  const names = [...new Set(evals.flatMap((record) => Object.keys(record.figures)))];
  const groups = [...new Set(train.flatMap((record) => Object.keys(record.lr)))];
  const xLabel = 'step';
  return [
    {
      title: 'Loss',
      xLabel,
      log: true,
      series: [
        { name: 'average', points: smooth(loss, window) },
        { name: 'single steps', points: loss, faint: true },
      ],
    },
    {
      title: 'Parts of the loss',
      xLabel,
      log: true,
      series: parts.map((name) => ({
        name,
        points: smooth(
          train.flatMap(({ step, parts: values }) =>
            name in values ? [[step, values[name]!] as const] : [],
          ),
          window,
        ),
      })),
    },
    {
      title: 'Evaluation',
      xLabel,
      include: { x: [0], y: [0, 1] },
      series: names
        // Shares only; figures of single forms of sentence would hide the others.
        .filter((name) => !name.includes('/') && evals.every(({ figures }) => (figures[name] ?? 0) <= 1))
        .map((name) => ({
          name,
          points: evals.flatMap(({ step, figures: values }) =>
            (values[name] ?? -1) >= 0 ? [[step, values[name]!] as const] : [],
          ),
        })),
    },
    {
      title: 'Learning rate',
      xLabel,
      series: groups.map((name) => ({
        name,
        points: train.map(({ step, lr }) => [step, lr[name] ?? Number.NaN] as const),
      })),
    },
  ];
}

function prefixed(prefix: string, values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));
}

/** Keys with single values; records and lists are left to `config.yaml`. */
function hyperParameters(config: RunConfig): Record<string, HyperParameter> {
  const single = Object.entries(config).filter(([, value]) => value !== null && typeof value !== 'object');
  return Object.fromEntries(single) as Record<string, HyperParameter>;
}
