// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { EXIT_CODES, UserError } from '../errors.js';
import type { LoaderBinding, NativeBinding } from './binding.js';
import { foreignLibTensorFlow, type LibTensorFlow } from './libtensorflow.js';
import { type BuiltPart, findPart } from './native_parts.js';

/** Names a CUDA library in place of the package's own. */
export const CUDA_LIBRARY_SETTING = 'TFGEO_CUDA_LIBRARY';

/** Raised when libtensorflow itself cannot be opened, so that the next candidate may be tried. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
}

const require = createRequire(import.meta.url);

/** The addon that opens libraries; it needs none itself. */
export function loadLoader(addon: BuiltPart): LoaderBinding {
  return require(addon.files[0]!) as LoaderBinding;
}

/** Tells the op library where the CUDA library is, unless the user has named one; an empty name: beside the op library. */
export function nameCudaLibrary(addon: BuiltPart): void {
  if (process.env[CUDA_LIBRARY_SETTING] !== undefined) return;
  const { found } = findPart('cuda', null);
  if (found !== null) loadLoader(addon).setEnv(CUDA_LIBRARY_SETTING, found.path);
}

/**
 * Opens libtensorflow for the whole process, then the addon on top of it. Opening the same one again, from another
 * module registry or worker, is free.
 * @param logLevel 0 everything, 1 warnings, 2 errors, 3 fatal errors only.
 * @throws UserError if the process already uses another libtensorflow, LoadError if this one can't be opened.
 */
export function loadNative(library: LibTensorFlow, addon: BuiltPart, logLevel: number): NativeBinding {
  const foreign = foreignLibTensorFlow(library);
  if (foreign !== null) {
    throw new UserError(
      `this process has already loaded another TensorFlow (${foreign}), and two cannot live together; ` +
        'start tfgeo in a process that does not import @tensorflow/tfjs-node',
      EXIT_CODES.engine,
    );
  }
  const loader = loadLoader(addon);
  // What the user set in the environment wins.
  const level = Number(process.env.TF_CPP_MIN_LOG_LEVEL ?? logLevel) || 0;
  loader.setEnv('TF_CPP_MIN_LOG_LEVEL', String(level));
  try {
    const [framework, api] = library.libraries;
    loader.openGlobal(framework, level > 0);
    loader.setLogLevel(level);
    loader.openGlobal(api, level > 0);
  } catch (error) {
    throw new LoadError((error as Error).message);
  }
  return require(addon.path) as NativeBinding;
}
