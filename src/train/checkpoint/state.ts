// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../../errors.js';
import { isRecord } from '../../models/config_tree.js';
import { checkValues } from '../config/check.js';
import type { RunConfig } from '../config/schema.js';
import { type FileSeal, sealOf } from './folder.js';

/** Folder of the checkpoints in a run folder. */
export const CHECKPOINTS = 'checkpoints';

/** The evaluation that was best so far. */
export interface BestResult {
  figure: string;
  value: number;
  step: number;
}

/** `state.json` of a checkpoint: all that is not a tensor. */
export interface CheckpointState {
  format: 'tfgeo-checkpoint';
  formatVersion: 1;
  /** Optimizer steps done; the next one has this number. */
  step: number;
  /** Passes through the data done, with fraction. */
  epoch: number;
  /** Every random number of step n is drawn from a generator made of this and n. */
  seed: number;
  config: RunConfig;
  best: BestResult | null;
  /** What wrote it: node, tfgeo, tensorflow, ... */
  versions: Record<string, string>;
  /** Every other file of the folder, to tell whether it is whole. */
  files: Record<string, FileSeal>;
}

/** Reads and checks `state.json` of a checkpoint folder. */
export function readState(folder: string): CheckpointState {
  const path = join(folder, 'state.json');
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError(
      `${path}: not a readable checkpoint state (${(error as Error).message}). ${otherOne(folder)}`,
      EXIT_CODES.checkpoint,
      { cause: error },
    );
  }
  const fits =
    isRecord(value) &&
    value.format === 'tfgeo-checkpoint' &&
    Number.isSafeInteger(value.step) &&
    isRecord(value.config) &&
    isRecord(value.files);
  if (!fits) {
    throw new UserError(
      `${path}: this is not the state of a tfgeo checkpoint. ${otherOne(folder)}`,
      EXIT_CODES.checkpoint,
    );
  }
  const state = value as unknown as CheckpointState;
  if (state.formatVersion !== 1) {
    throw new UserError(
      `${path}: checkpoint format ${state.formatVersion}, this tfgeo reads format 1; use the tfgeo that wrote it (${state.versions?.tfgeo ?? 'unknown version'})`,
      EXIT_CODES.checkpoint,
    );
  }
  checkValues(state.config as unknown as Record<string, unknown>, () => path);
  return state;
}

/** Refuses a checkpoint with a file missing, cut short or changed. */
export function verifyFiles(folder: string, state: CheckpointState): void {
  for (const [name, seal] of Object.entries(state.files)) {
    const path = join(folder, name);
    const fail = (problem: string): never => {
      throw new UserError(`${path}: ${problem}. ${otherOne(folder)}`, EXIT_CODES.checkpoint);
    };
    if (!existsSync(path)) fail('the file is missing');
    const now = sealOf(path);
    if (now.bytes !== seal.bytes) fail(`the file has ${now.bytes} bytes, it was written with ${seal.bytes}`);
    if (now.sha256 !== seal.sha256) fail('the content is not what was written (SHA-256 differs)');
  }
}

function otherOne(folder: string): string {
  return `Use another checkpoint of the run (folders beside ${folder}).`;
}

/**
 * The checkpoint folder that `path` means: itself, or the last one of the run folder `path`. Where the run's `last` link
 * is broken, the newest whole-looking one.
 */
export function findCheckpoint(path: string): string | null {
  if (existsSync(join(path, 'state.json'))) return path;
  const checkpoints = join(path, CHECKPOINTS);
  const last = join(checkpoints, 'last');
  if (existsSync(join(last, 'state.json'))) return last;
  const newest = listCheckpoints(checkpoints).at(-1);
  return newest === undefined ? null : join(checkpoints, newest);
}

/** Names of the checkpoints in a folder, oldest step first. */
export function listCheckpoints(checkpoints: string): string[] {
  if (!existsSync(checkpoints)) return [];
  const parsed = readdirSync(checkpoints).flatMap((name) => {
    const match = /^step-(\d+)(?:-(\d+))?$/.exec(name);
    if (!match || !existsSync(join(checkpoints, name, 'state.json'))) return [];
    return [{ name, step: Number(match[1]), again: Number(match[2] ?? 1) }];
  });
  return parsed.sort((a, b) => a.step - b.step || a.again - b.again).map(({ name }) => name);
}
