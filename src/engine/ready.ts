// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { registerFileHandlers } from './file_io.js';
import type { Attempt } from './libtensorflow.js';
import { SetupError, sayOnStderr } from './setup.js';
import { startTensorFlow } from './tensorflow_engine.js';
import type { EngineId, EngineInfo, ReadyOptions } from './types.js';

let current: EngineInfo | null = null;
let starting: Promise<EngineInfo> | null = null;

/** The engine in use, or null before {@link ready}. */
export function currentEngine(): EngineInfo | null {
  return current;
}

/** Whether tfgeo's own TensorFlow operators are loaded, and all of `names` among them. */
export function hasNativeOps(names: readonly string[] = []): boolean {
  const library = current?.tensorflow?.opLibrary;
  return library?.path != null && names.every((name) => library.ops.includes(name));
}

/**
 * Picks an engine and makes it tfjs's backend. Call it before anything else; calling it again returns the same
 * engine, or changes to the one asked for.
 *
 * With `engine: 'auto'` it never fails for want of a download or a compiler: it says in one line on stderr what is
 * missing and falls back to `wasm` (if `@tensorflow/tfjs-backend-wasm` is installed) or `cpu`.
 * @throws UserError if the engine that was named can't be had.
 */
export async function ready(options: ReadyOptions = {}): Promise<EngineInfo> {
  const wanted = options.engine ?? 'auto';
  if (starting !== null) await starting.catch(() => null);
  if (current !== null && (wanted === 'auto' || wanted === current.engine)) return current;
  starting = start(wanted, options);
  try {
    current = await starting;
    registerFileHandlers();
    return current;
  } finally {
    starting = null;
  }
}

async function start(wanted: 'auto' | EngineId, options: ReadyOptions): Promise<EngineInfo> {
  if (wanted === 'wasm' || wanted === 'cpu') return startPlain(wanted, 'it was asked for', []);
  let refusal: string;
  let attempts: Attempt[] = [];
  try {
    const { info, attempts: tried } = await startTensorFlow(options);
    const reason = wanted === 'auto' ? 'the fastest one here' : 'it was asked for';
    return { engine: 'tensorflow', reason, tensorflow: info, attempts: tried };
  } catch (error) {
    // A full disk or a missing permission is the machine's; anything else that is no UserError is a fault in tfgeo.
    const ofMachine = error instanceof UserError || (error as NodeJS.ErrnoException).syscall !== undefined;
    if (!ofMachine || wanted === 'tensorflow') throw error;
    refusal = (error as Error).message;
    if (error instanceof SetupError) attempts = error.attempts;
  }
  const fallback = isInstalled('@tensorflow/tfjs-backend-wasm') ? 'wasm' : 'cpu';
  sayOnStderr(`engine ${fallback}, which is slow, because ${refusal}`);
  return startPlain(fallback, refusal, attempts);
}

/** One of tfjs's own backends. */
async function startPlain(engine: 'wasm' | 'cpu', reason: string, attempts: Attempt[]): Promise<EngineInfo> {
  if (engine === 'wasm') {
    if (!isInstalled('@tensorflow/tfjs-backend-wasm')) {
      throw new UserError(
        'engine wasm needs the package @tensorflow/tfjs-backend-wasm; install it beside @tensorflow/tfjs',
        EXIT_CODES.engine,
      );
    }
    await import(pathToFileURL(userRequire().resolve('@tensorflow/tfjs-backend-wasm')).href);
  }
  quietNodeHint();
  if (!(await tf.setBackend(engine)))
    throw new UserError(`engine ${engine} did not start`, EXIT_CODES.engine);
  await tf.ready();
  return { engine, reason, tensorflow: null, attempts };
}

/** tfjs's cpu backend advises Node users to install tfjs-node, which is the thing that tfgeo replaces. */
function quietNodeHint(): void {
  const backend = tf.findBackend('cpu') as { firstUse?: boolean } | null;
  if (backend !== null && 'firstUse' in backend) backend.firstUse = false;
}

/** Resolves from the program's folder first: optional packages are the user's. */
function userRequire(): NodeJS.Require {
  return createRequire(pathToFileURL(`${process.cwd()}/`));
}

function isInstalled(name: string): boolean {
  try {
    userRequire().resolve(name);
    return true;
  } catch {
    return false;
  }
}
