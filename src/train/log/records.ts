// SPDX-License-Identifier: Apache-2.0
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomicSync } from '../../files.js';

/** A line of `log.jsonl` about a training step. */
export interface TrainRecord {
  kind: 'train';
  /** Steps done. */
  step: number;
  epoch: number;
  loss: number;
  /** Parts of the loss, by name. */
  parts: Record<string, number>;
  /** Norm of the gradients before clipping. */
  gradNorm: number;
  /** Learning rate by parameter group. */
  lr: Record<string, number>;
  secondsPerStep: number;
  /** Tensors alive after the step; must not grow. */
  tensors: number;
  /** Memory of the process in MiB. */
  memoryMiB: number;
}

/** A line about an evaluation. */
export interface EvalRecord {
  kind: 'eval';
  step: number;
  epoch: number;
  figures: Record<string, number>;
  seconds: number;
}

/** A line about something that happened: start, resume, checkpoint, stop. */
export interface EventRecord {
  kind: 'event';
  step: number;
  event: string;
  detail?: unknown;
}

export type LogRecord = TrainRecord | EvalRecord | EventRecord;

export const LOG_FILE = 'log.jsonl';

/** Records of a run's log; a last line that was cut short by a crash is passed over. */
export function readRecords(run: string): LogRecord[] {
  const path = join(run, LOG_FILE);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      if (line === '') return [];
      try {
        return [JSON.parse(line) as LogRecord];
      } catch {
        return [];
      }
    });
}

/** Appends records to `RUN/log.jsonl`, each written through at once. */
export class JsonLines {
  private readonly file: number;

  /** @param from continue after this step: later lines, of steps that will come again, are dropped */
  constructor(run: string, from: number | null) {
    const path = join(run, LOG_FILE);
    if (from !== null) {
      const kept = readRecords(run).filter(({ step }) => step <= from);
      writeFileAtomicSync(path, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
    }
    this.file = openSync(path, 'a');
  }

  write(record: LogRecord): void {
    writeSync(this.file, `${JSON.stringify({ ...record, time: new Date().toISOString() })}\n`);
  }

  close(): void {
    closeSync(this.file);
  }
}
