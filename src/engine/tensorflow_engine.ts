// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { tracingBackend } from './backend.js';
import type { NativeBinding } from './binding.js';
import { overrideKernels } from './kernel_overrides.js';
import { loadKernelsBundle } from './kernels.js';
import { type Attempt, cachedFolder, type LibTensorFlow, versionFault } from './libtensorflow.js';
import { LoadError, loadNative, nameCudaLibrary } from './load.js';
import { buildPart } from './native_build.js';
import { type BuiltPart, findPart, hasSources } from './native_parts.js';
import { opNames } from './op_list.js';
import { provideAddon, provideLibrary, repairCache, SetupError, sayOnStderr } from './setup.js';
import type { ReadyOptions, TensorFlowInfo } from './types.js';

/** Name under which the backend and its kernels are registered with tfjs. */
export const TENSORFLOW_BACKEND = 'tensorflow';
/** Above tfjs's own backends. */
const PRIORITY = 3;

/**
 * Starts engine `tensorflow` and registers its backend with tfjs.
 * @throws UserError if it can't be had, in one sentence.
 */
export async function startTensorFlow(
  options: ReadyOptions,
): Promise<{ info: TensorFlowInfo; attempts: Attempt[] }> {
  if (process.platform !== 'linux') {
    throw new UserError(
      `engine tensorflow runs on Linux, and this is ${process.platform}`,
      EXIT_CODES.engine,
    );
  }
  const mayBuild = options.setup ?? true;
  const { library, addon, binding, attempts } = await openAny(options.logLevel ?? 2, mayBuild);
  const fault = versionFault(binding.TF_Version);
  if (fault !== null) throw new SetupError(`${library.folder} cannot be used: ${fault}`, attempts);
  const cores = availableParallelism();
  const [intraThreads, interThreads] = binding.startContext(
    options.intraThreads ?? cores,
    options.interThreads ?? Math.min(2, cores),
  );
  await registerBackend(binding);
  nameCudaLibrary(addon);
  const opLibrary = await loadOps(binding, library, addon, mayBuild);
  const info: TensorFlowInfo = {
    version: binding.TF_Version,
    source: library.source,
    folder: library.folder,
    intraThreads,
    interThreads,
    devices: binding.listDevices(),
    usesGpu: binding.isUsingGpuDevice(),
    opLibrary,
  };
  return { info, attempts };
}

/** Opens the first libtensorflow that loads; one that does not is passed over, and the cache's is fetched again. */
async function openAny(logLevel: number, mayBuild: boolean) {
  const refused = new Set<string>();
  const failures: Attempt[] = [];
  for (;;) {
    const { library, attempts } = await provideLibrary(mayBuild, sayOnStderr, refused);
    const addon = await provideAddon(library, mayBuild, sayOnStderr);
    try {
      const binding = loadNative(library, addon, logLevel);
      return { library, addon, binding, attempts: [...failures, ...attempts] };
    } catch (error) {
      if (!(error instanceof LoadError)) throw error;
      failures.push({
        source: library.source,
        where: library.folder,
        accepted: false,
        reason: error.message,
      });
      // A cached library that was damaged is fetched anew, once; any other is passed over.
      const repaired = library.folder === cachedFolder() && mayBuild && (await repairCache(sayOnStderr));
      if (!repaired) refused.add(library.folder);
      if (!repaired && library.folder === cachedFolder()) {
        throw new SetupError(`TensorFlow could not be loaded: ${error.message}`, [...failures, ...attempts]);
      }
    }
  }
}

async function registerBackend(binding: NativeBinding): Promise<void> {
  if (tf.findBackend(TENSORFLOW_BACKEND) === null) {
    const bundle = await loadKernelsBundle();
    bundle.registerKernels();
    overrideKernels();
    const Backend = tracingBackend(bundle.backend.NodeJSKernelBackend);
    tf.registerBackend(TENSORFLOW_BACKEND, () => new Backend(binding, 'tfgeo'), PRIORITY);
  }
  if (!(await tf.setBackend(TENSORFLOW_BACKEND))) {
    throw new UserError(
      'tfjs refused the backend of engine tensorflow; see its message above',
      EXIT_CODES.engine,
    );
  }
  await tf.ready();
}

/**
 * Loads tfgeo's operators: the library that TFGEO_OP_LIBRARY names, else the package's own build. Without them
 * everything still works, in plain ops, so a failure is told, not thrown.
 */
async function loadOps(
  binding: NativeBinding,
  library: LibTensorFlow,
  addon: BuiltPart,
  mayBuild: boolean,
): Promise<TensorFlowInfo['opLibrary']> {
  const named = process.env.TFGEO_OP_LIBRARY;
  if (named) return loadNamedOps(binding, resolve(named));
  if (!hasSources('ops') && findPart('ops', binding.TF_Version).found === null) {
    return { path: null, reason: 'this package has no operator sources' };
  }
  try {
    const { found, reason } = findPart('ops', binding.TF_Version);
    if (found === null && !mayBuild) return { path: null, reason };
    const part = found ?? (await buildPart('ops', library, binding.TF_Version, sayOnStderr));
    const path = part.files[0]!;
    return { path, from: part.from, ops: opNames(binding.loadOpLibrary(path)) };
  } catch (error) {
    const reason = (error as Error).message;
    sayOnStderr(`running without the native operators: ${reason}`);
    if (!(error instanceof UserError) && (error as { code?: string }).code !== 'TFGEO_TENSORFLOW')
      throw error;
    return { path: null, reason: `${reason} (addon: ${addon.from})` };
  }
}

/** The library is loaded as it is: whether it fits this TensorFlow shows when it is opened. */
function loadNamedOps(binding: NativeBinding, path: string): TensorFlowInfo['opLibrary'] {
  let reason: string;
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    reason = `TFGEO_OP_LIBRARY is ${path}, and there is no such file`;
  } else {
    try {
      const ops = opNames(binding.loadOpLibrary(path));
      if (ops.length > 0) return { path, from: 'TFGEO_OP_LIBRARY', ops };
      reason = `TFGEO_OP_LIBRARY is ${path}, and there are no ops in it`;
    } catch (error) {
      if ((error as { code?: string }).code !== 'TFGEO_TENSORFLOW') throw error;
      reason = `TFGEO_OP_LIBRARY is ${path}, which TensorFlow ${binding.TF_Version} cannot load: ${(error as Error).message}`;
    }
  }
  sayOnStderr(`running without the native operators: ${reason}`);
  return { path: null, reason };
}
