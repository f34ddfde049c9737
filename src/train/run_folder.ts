// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.js';
import { writeFileAtomicSync } from '../files.js';
import { CHECKPOINTS, findCheckpoint } from './checkpoint.js';
import { configToYaml } from './config/file.js';
import { CONFIG_KEYS, type ConfigKey, type RunConfig } from './config/schema.js';
import { LOG_FILE } from './log.js';

/** Where a run writes, and the checkpoint it continues from. */
export interface RunFolder {
  path: string;
  /** Checkpoint folder to continue exactly, or null for a new run. */
  resume: string | null;
}

/**
 * Finds the run's folder; it is made with its first file, so that a mistake leaves none behind. `resume: PATH` continues in the folder the checkpoint lies in unless `out` says
 * otherwise; `resume: auto` continues in `out` if it holds a checkpoint.
 *
 * @throws UserError if there is no checkpoint to resume, or if a new run would write into another run's folder
 */
export function prepareRunFolder(config: RunConfig): RunFolder {
  const { out, resume } = config;
  if (resume === 'auto' && out === null) {
    throw new UserError('resume "auto" needs out: the folder whose last checkpoint is to be continued');
  }
  const wanted = resume === 'auto' ? out : resume;
  const checkpoint = wanted === null ? null : findCheckpoint(wanted);
  if (checkpoint === null && resume !== null && resume !== 'auto') {
    throw new UserError(
      `resume ${resume}: there is no checkpoint there; give a run folder or a checkpoint folder`,
    );
  }
  const path = out ?? (checkpoint ? runOf(checkpoint) : join('runs', `${config.model}-${stamp(new Date())}`));
  if (checkpoint === null && resume !== 'auto' && existsSync(join(path, LOG_FILE))) {
    const remedy =
      findCheckpoint(path) === null
        ? 'it has no checkpoint, so delete it'
        : `continue it with --resume ${path}`;
    throw new UserError(`${path} already holds a run; ${remedy}, or choose another folder with --out`);
  }
  return { path, resume: checkpoint };
}

/** Run folder of a checkpoint folder in it. */
function runOf(checkpoint: string): string {
  const parent = dirname(checkpoint);
  return basename(parent) === CHECKPOINTS ? dirname(parent) : checkpoint;
}

/** Writes what the run is: its whole configuration and the versions of what runs it. */
export function describeRun(path: string, config: RunConfig, versions: Record<string, string>): void {
  writeFileAtomicSync(
    join(path, 'config.yaml'),
    `# The whole configuration of this run; repeat it with: tfgeo-train train --config config.yaml --out NEW\n${configToYaml({ ...config, resume: null, out: null })}`,
  );
  writeFileAtomicSync(join(path, 'versions.json'), `${JSON.stringify(versions, null, 2)}\n`);
}

/** `20261121-083000` in local time. */
function stamp(now: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** Keys that may differ between a run and its continuation without changing what is learned. */
const FREE_KEYS: readonly ConfigKey[] = [
  'resume',
  'load',
  'out',
  'recipe',
  'evalEvery',
  'evalAtStart',
  'evalLimit',
  'checkpointEvery',
  'keepCheckpoints',
  'sampleEvery',
  'logEvery',
  'tensorboard',
];

/** What a continued run does differently from its checkpoint, in words; empty when nothing matters. */
export function changedKeys(before: RunConfig, now: RunConfig): string {
  const changed = CONFIG_KEYS.filter(
    (key) => !FREE_KEYS.includes(key) && JSON.stringify(before[key]) !== JSON.stringify(now[key]),
  );
  if (changed.length === 0) return '';
  const list = changed.map((key) => `${key} ${JSON.stringify(before[key])} -> ${JSON.stringify(now[key])}`);
  return ` (changed: ${list.join(', ')})`;
}
