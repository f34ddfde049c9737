// SPDX-License-Identifier: Apache-2.0
import cliProgress from 'cli-progress';
import type { TrainRecord } from './records.js';

/** Where progress is shown: a terminal, or anything lines can be written to. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
}

/** Shows how far a run is. */
export interface Progress {
  /** After every step. `record` is there on steps that are logged. */
  step(step: number, record: TrainRecord | null): void;
  /** A line that stays. */
  say(line: string): void;
  stop(): void;
}

/** A bar on a terminal, plain lines elsewhere (one for each record, so that a log file stays readable). */
export function createProgress(output: Output, total: number, start: number): Progress {
  const clock = new StepClock(total);
  return output.isTTY ? barProgress(output, total, start, clock) : lineProgress(output, total, clock);
}

function lineProgress(output: Output, total: number, clock: StepClock): Progress {
  return {
    step(step, record) {
      clock.tick(step);
      if (record) output.write(`${recordLine(record, total)}  ETA ${formatSeconds(clock.left())}\n`);
    },
    say: (line) => void output.write(`${line}\n`),
    stop: () => undefined,
  };
}

function barProgress(output: Output, total: number, start: number, clock: StepClock): Progress {
  const bar = new cliProgress.SingleBar({
    format: ' {bar} {value}/{total}  {figures}  ETA {left}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 24,
    hideCursor: true,
    stream: output as NodeJS.WritableStream,
    forceRedraw: true,
    gracefulExit: false,
  });
  let figures = '';
  bar.start(total, start, { figures, left: '?' });
  return {
    step(step, record) {
      clock.tick(step);
      if (record) figures = recordFigures(record);
      bar.update(step, { figures, left: formatSeconds(clock.left()) });
    },
    say(line) {
      // Clear the bar's line, write above it, and draw the bar again.
      output.write(`\r\x1b[K${line}\n`);
      bar.render();
    },
    stop: () => bar.stop(),
  };
}

/** `step 120/3000  loss 12.3  lr 6.0e-5  0.62 s/step  512 tensors  830 MiB`. */
function recordLine(record: TrainRecord, total: number): string {
  const memory = `${record.tensors} tensors  ${Math.round(record.memoryMiB)} MiB`;
  return `step ${record.step}/${total}  ${recordFigures(record)}  ${memory}`;
}

function recordFigures({ loss, gradNorm, lr, secondsPerStep }: TrainRecord): string {
  const rate = Math.max(...Object.values(lr)).toExponential(1);
  return `loss ${loss.toPrecision(4)}  grad ${gradNorm.toPrecision(3)}  lr ${rate}  ${secondsPerStep.toFixed(2)} s/step`;
}

/** Estimates what is left of a run; recent steps weigh most. */
class StepClock {
  private seconds: number | null = null;
  private last = performance.now();
  private step = 0;

  constructor(private readonly total: number) {}

  tick(step: number): void {
    const now = performance.now();
    const taken = (now - this.last) / 1000;
    this.last = now;
    this.step = step;
    this.seconds = this.seconds === null ? taken : 0.95 * this.seconds + 0.05 * taken;
  }

  left(): number {
    return (this.seconds ?? 0) * (this.total - this.step);
  }
}

/** `3 s`, `12 min`, `2 h 05 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
