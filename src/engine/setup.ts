// SPDX-License-Identifier: Apache-2.0
import { existsSync, rmSync } from 'node:fs';
import { EXIT_CODES, UserError } from '../errors.js';
import { buildCuda } from './cuda_build.js';
import { gpuInfo } from './hardware.js';
import { ensureKernelsBundle } from './kernels.js';
import {
  type Attempt,
  cachedFolder,
  fetchLibTensorFlow,
  findLibTensorFlow,
  forgetPython,
  inspectCache,
  type LibTensorFlow,
} from './libtensorflow.js';
import { buildPart } from './native_build.js';
import { type BuiltPart, findPart, hasSources, keepAsPrebuilt } from './native_parts.js';

export interface SetupOptions {
  /** Ask Python again and read the cached libraries through. */
  refresh?: boolean;
  /** Also copy the compiled parts into the package's `prebuilds/` folder. */
  prebuild?: boolean;
  /**
   * Whether to compile the CUDA library: true = it must be there, false = not now; by default where there is a GPU, and
   * for packing wherever there is an nvcc.
   */
  cuda?: boolean;
  /** Receives a line before anything slow; default: stderr. */
  say?: (line: string) => void;
}

export interface SetupReport {
  library: LibTensorFlow;
  addon: BuiltPart;
  /** Null if there are no operator sources. */
  ops: BuiltPart | null;
  /** The CUDA library, or why there is none. */
  cuda: BuiltPart | { leftOut: string };
  attempts: Attempt[];
}

/** Tells the user what is being waited for; stdout stays free for results. */
export function sayOnStderr(line: string): void {
  process.stderr.write(`tfgeo: ${line}\n`);
}

/**
 * Gets everything engine `tensorflow` needs: a libtensorflow, the addon, the operators, the kernels' bundle. What is
 * there already is used; running it again takes no time.
 * @throws UserError in one sentence: nowhere to write, no Python, no network, no compiler, ...
 */
export async function setup(options: SetupOptions = {}): Promise<SetupReport> {
  const say = options.say ?? sayOnStderr;
  if (options.refresh) forgetPython();
  if (options.refresh) await repairCache(say);
  const { library, attempts } = await provideLibrary(true, say);
  const addon = await provideAddon(library, true, say, true);
  await ensureKernelsBundle();
  const ops = hasSources('ops') ? await provideOps(library, addon, say) : null;
  const cuda = await provideCuda(options.cuda ?? (options.prebuild ? 'compiler' : 'card'), say);
  if (options.prebuild)
    keepAsPrebuilt([addon, ...(ops === null ? [] : [ops]), ...('leftOut' in cuda ? [] : [cuda])]);
  return { library, addon, ops, cuda, attempts };
}

/**
 * The CUDA library: the one that is there, or a new one.
 * @param when it is compiled: always, never, where there is a card, or where there is a compiler
 * @throws UserError if it must be there and cannot be made
 */
async function provideCuda(
  when: boolean | 'card' | 'compiler',
  say: (line: string) => void,
): Promise<BuiltPart | { leftOut: string }> {
  const { gpus } = await gpuInfo();
  const cards = gpus.flatMap(({ computeCapability }) => computeCapability ?? []);
  const build = when === true || (when === 'card' ? gpus.length > 0 : when === 'compiler');
  if (build) {
    try {
      return await buildCuda(say, cards);
    } catch (error) {
      if (when === true || !(error instanceof UserError)) throw error;
      return { leftOut: error.message };
    }
  }
  const reason = when === false ? 'it was not asked for' : 'there is no NVIDIA GPU here';
  return (
    findPart('cuda', null).found ?? { leftOut: `${reason}; \`npx tfgeo-train setup --cuda\` compiles it` }
  );
}

/** The CUDA library in a line: where it is and what for, or why it is not there. */
export function describeCuda(cuda: SetupReport['cuda']): string {
  return 'leftOut' in cuda
    ? `cuda: left out, because ${cuda.leftOut}`
    : `cuda: ${cuda.folder} (${cuda.from}; ${cuda.targets?.join(', ')})`;
}

/** A libtensorflow; downloads it if there is none and `mayFetch`. */
export async function provideLibrary(
  mayFetch: boolean,
  say: (line: string) => void,
  refused: ReadonlySet<string> = new Set(),
): Promise<{ library: LibTensorFlow; attempts: Attempt[] }> {
  const { found, attempts } = await findLibTensorFlow(refused);
  const [own] = attempts;
  if (own?.where && !own.accepted)
    say(`TFGEO_LIBTENSORFLOW is ${own.where}, but ${own.reason}; looking elsewhere`);
  if (found !== null) return { library: found, attempts };
  const download = (accepted: boolean, reason: string): Attempt => ({
    source: 'download',
    where: cachedFolder(),
    accepted,
    reason,
  });
  if (!mayFetch) {
    attempts.push(download(false, 'setting up was not allowed'));
    throw new SetupError('there is no TensorFlow on this machine yet; run `npx tfgeo-train setup`', attempts);
  }
  try {
    const library = await fetchLibTensorFlow(say);
    attempts.push(download(true, `it is TensorFlow ${library.version}`));
    return { library, attempts };
  } catch (error) {
    const reason = (error as Error).message;
    attempts.push(download(false, reason));
    throw new SetupError(reason, attempts, { cause: error });
  }
}

/** Throws away a cached libtensorflow that is not what was unpacked. @returns whether it did. */
export async function repairCache(say: (line: string) => void): Promise<boolean> {
  const state = inspectCache(true);
  if (typeof state !== 'string' || !existsSync(cachedFolder())) return false;
  say(`the cached TensorFlow is thrown away, because ${state}`);
  rmSync(cachedFolder(), { recursive: true, force: true });
  return true;
}

export async function provideAddon(
  library: LibTensorFlow,
  mayBuild: boolean,
  say: (line: string) => void,
  retry = false,
): Promise<BuiltPart> {
  const { found, reason } = findPart('addon', null);
  if (found !== null) return found;
  if (!mayBuild) {
    throw new UserError(
      `the addon is not compiled yet (${reason}); run \`npx tfgeo-train setup\``,
      EXIT_CODES.engine,
    );
  }
  return buildPart('addon', library, null, say, { retry });
}

/** The operators for the TensorFlow of `library`. Its version is asked of the library itself if nothing else tells. */
async function provideOps(
  library: LibTensorFlow,
  addon: BuiltPart,
  say: (line: string) => void,
): Promise<BuiltPart> {
  const version = library.version ?? (await import('./load.js')).loadNative(library, addon, 2).TF_Version;
  return findPart('ops', version).found ?? buildPart('ops', library, version, say, { retry: true });
}

/** A failed setup, with every candidate that was tried. */
export class SetupError extends UserError {
  readonly attempts: Attempt[];

  constructor(message: string, attempts: Attempt[], options?: ErrorOptions) {
    super(message, EXIT_CODES.engine, options);
    this.attempts = attempts;
  }
}
