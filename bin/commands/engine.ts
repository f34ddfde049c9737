// SPDX-License-Identifier: Apache-2.0
import {
  type EngineInfo,
  type ReadyOptions,
  ready,
  setCompiling,
  setTraceListener,
  type TraceReport,
} from '../../src/engine/index.js';
import type { Flags } from './command.js';
import { numberFlag } from './flag_values.js';

/** Compiling that takes less is not worth a line. */
const LONG_MS = 500;

/** Compiling anew may take a while: says what for. */
function sayRetrace({ name, count, reason, milliseconds }: TraceReport): void {
  if (count === 1 || milliseconds < LONG_MS) return;
  process.stderr.write(
    `tfgeo-train: compiled ${name} again in ${(milliseconds / 1000).toFixed(1)} s (${reason})\n`,
  );
}

/** Starts the engine that `--engine`, `--threads` and `--eager` ask for. */
export function startEngine(flags: Flags): Promise<EngineInfo> {
  const threads = numberFlag(flags, 'threads', { min: 0, max: 1024, whole: true }) ?? 0;
  setCompiling(flags.eager !== true);
  setTraceListener(sayRetrace);
  return ready({
    engine: (flags.engine ?? 'auto') as NonNullable<ReadyOptions['engine']>,
    ...(threads > 0 ? { intraThreads: threads } : {}),
  });
}
