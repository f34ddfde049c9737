// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { writeFileAtomicSync } from '../files.js';
import type { Module } from '../models/module.js';
import { readSafetensorsSync, type WriteOptions, writeSafetensors } from '../models/weights/safetensors.js';
import { loadStateDict, saveStateDict } from '../models/weights/state_dict.js';
import { pointedAt, pointTo, sealOf, writeFolderAtomic } from './checkpoint/folder.js';
import {
  CHECKPOINTS,
  type CheckpointState,
  findCheckpoint,
  listCheckpoints,
  readState,
  verifyFiles,
} from './checkpoint/state.js';
import type { Ema } from './ema.js';
import type { NamedValue } from './flat_store.js';
import type { AdamW } from './optimizer.js';

export {
  type BestResult,
  CHECKPOINTS,
  type CheckpointState,
  findCheckpoint,
  readState,
} from './checkpoint/state.js';

/** The parts of a run that a checkpoint holds. */
export interface Trainable {
  model: Module;
  optimizer: AdamW;
  /** Null when the run keeps no averages. */
  ema: Ema | null;
}

export interface SaveOptions {
  /** Also let `best` point at it. */
  best: boolean;
  /** Newest checkpoints to keep; the one `best` points at stays in any case. */
  keep: number;
  /** Further files for the folder, e.g. `config.json`. */
  extraFiles: Record<string, string | Uint8Array>;
}

/**
 * Writes `RUN/checkpoints/step-N/` with `model.safetensors`, `ema.safetensors`, `optimizer.safetensors` and
 * `state.json`, then lets `last` (and `best`) point at it, then removes old ones. At every moment `last` is whole: the
 * folder takes its name when all is flushed to disk, and links change in one step. Returns the folder.
 */
export async function saveCheckpoint(
  run: string,
  { model, optimizer, ema }: Trainable,
  state: Omit<CheckpointState, 'format' | 'formatVersion' | 'files'>,
  options: SaveOptions,
): Promise<string> {
  const checkpoints = join(run, CHECKPOINTS);
  mkdirSync(checkpoints, { recursive: true });
  const name = freeName(checkpoints, state.step);
  const weights = saveStateDict(model);
  const averages = ema ? await ema.during(async () => saveStateDict(model)) : null;
  const moments = await optimizer.state();
  writeFolderAtomic(join(checkpoints, name), (folder) => {
    writeSafetensors(join(folder, 'model.safetensors'), weights);
    if (averages) writeSafetensors(join(folder, 'ema.safetensors'), averages);
    writeSafetensors(join(folder, 'optimizer.safetensors'), moments);
    writeExtraFiles(folder, options.extraFiles);
    const files = Object.fromEntries(readdirSync(folder).map((file) => [file, sealOf(join(folder, file))]));
    const whole: CheckpointState = { format: 'tfgeo-checkpoint', formatVersion: 1, ...state, files };
    writeFileAtomicSync(join(folder, 'state.json'), `${JSON.stringify(whole, null, 1)}\n`);
  });
  pointTo(join(checkpoints, 'last'), name);
  if (options.best) pointTo(join(checkpoints, 'best'), name);
  prune(checkpoints, options.keep);
  return join(checkpoints, name);
}

/** `step-00000500`, or `step-00000500-2` if a run that was resumed further back comes by again. */
function freeName(checkpoints: string, step: number): string {
  const plain = `step-${String(step).padStart(8, '0')}`;
  let name = plain;
  for (let again = 2; existsSync(join(checkpoints, name)); again++) name = `${plain}-${again}`;
  return name;
}

function prune(checkpoints: string, keep: number): void {
  const linked = ['last', 'best'].map((link) => pointedAt(join(checkpoints, link)));
  for (const name of listCheckpoints(checkpoints).slice(0, -keep)) {
    if (!linked.includes(name)) rmSync(join(checkpoints, name), { recursive: true, force: true });
  }
  // What an interrupted write left behind.
  for (const name of readdirSync(checkpoints)) {
    if (name.startsWith('.tmp-')) rmSync(join(checkpoints, name), { recursive: true, force: true });
  }
}

/**
 * Puts a checkpoint back: weights, averages and the optimizer's moments. Everything is read and checked first.
 *
 * @param path a checkpoint folder, or a run folder (its last checkpoint)
 * @throws UserError (exit code `checkpoint`) naming the file and tensor that is missing, damaged or of another shape
 */
export function loadCheckpoint(path: string, { model, optimizer, ema }: Trainable): CheckpointState {
  const folder = existing(path);
  const state = readState(folder);
  verifyFiles(folder, state);
  const weights = readSafetensorsSync(join(folder, 'model.safetensors'));
  const moments = readSafetensorsSync(join(folder, 'optimizer.safetensors'));
  const averagesFile = join(folder, 'ema.safetensors');
  const averages = existsSync(averagesFile) ? readSafetensorsSync(averagesFile) : null;
  const values = [...moments].map(([name, { shape, data }]): [string, NamedValue] => [
    name,
    { shape, data: data as Float32Array },
  ]);
  // Averages that the checkpoint lacks (they were off before) start from its weights.
  if (ema) loadStateDict(model, averages ?? weights);
  optimizer.loadState(new Map(values), moments.source);
  ema?.capture();
  loadStateDict(model, weights);
  return state;
}

/**
 * Gives a model the weights of a folder: a checkpoint's averages if it has them, or `model.safetensors` of a model
 * folder.
 *
 * @param path a model folder, a checkpoint folder, a run folder, or a `.safetensors` file
 */
export function loadWeights(path: string, model: Module): string {
  const file = weightsFile(path);
  loadStateDict(model, readSafetensorsSync(file));
  return file;
}

/** The file that `loadWeights` reads. */
function weightsFile(path: string): string {
  if (path.endsWith('.safetensors')) return path;
  const folder = existsSync(join(path, 'model.safetensors')) ? path : existing(path);
  const averages = join(folder, 'ema.safetensors');
  return existsSync(averages) ? averages : join(folder, 'model.safetensors');
}

function existing(path: string): string {
  const folder = findCheckpoint(path);
  if (folder !== null) return folder;
  const problem = existsSync(path) ? 'there is no checkpoint in it' : 'there is no such folder';
  throw new UserError(
    `${path}: ${problem}. Give a run folder, or one of the folders in its ${CHECKPOINTS}/.`,
    EXIT_CODES.checkpoint,
  );
}

/**
 * Writes a folder from which the model can be loaded: `model.safetensors` and the files of `TrainTask.describe`. The
 * folder is there whole or not at all; one that exists is replaced.
 *
 * @param options `dtype` F16 or BF16 halves the weights
 */
export function saveModelFolder(
  folder: string,
  model: Module,
  extraFiles: Record<string, string | Uint8Array>,
  options: WriteOptions = {},
): void {
  const weights = saveStateDict(model);
  writeFolderAtomic(folder, (temporary) => {
    writeSafetensors(join(temporary, 'model.safetensors'), weights, options);
    writeExtraFiles(temporary, extraFiles);
  });
}

function writeExtraFiles(folder: string, files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) {
    if (basename(name) !== name) {
      throw new RangeError(`[saveModelFolder] expected a plain file name but received ${name}`);
    }
    writeFileAtomicSync(join(folder, name), content);
  }
}
