// SPDX-License-Identifier: Apache-2.0
import { type EngineInfo, type ReadyOptions, ready, setCompiling } from '../../src/engine/index.js';
import type { Flags } from './command.js';
import { numberFlag } from './flag_values.js';

/** Starts the engine that `--engine`, `--threads` and `--eager` ask for. */
export function startEngine(flags: Flags): Promise<EngineInfo> {
  const threads = numberFlag(flags, 'threads', { min: 0, max: 1024, whole: true }) ?? 0;
  setCompiling(flags.eager !== true);
  return ready({
    engine: (flags.engine ?? 'auto') as NonNullable<ReadyOptions['engine']>,
    ...(threads > 0 ? { intraThreads: threads } : {}),
  });
}
