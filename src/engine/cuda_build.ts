// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { withLock } from './cache.js';
import { CUDA_TARGETS, serviceOf, targetArguments, wantedTargets } from './cuda_targets.js';
import { requireWritableCache } from './libtensorflow.js';
import { type BuiltPart, buildKey, cudaUnits, findPart, keepProducts } from './native_parts.js';
import { packageRoot, shortPath } from './paths.js';
import { lastLine, runCommand } from './process.js';

/** What ptxas said of each kernel; lies beside a library that was compiled here. */
export const PTXAS_LOG = 'ptxas.log';

/** A CUDA compiler. */
export interface Nvcc {
  path: string;
  /** "13.0" */
  release: string;
  /** Targets it can compile for. */
  knows: string[];
}

/** The nvcc that NVCC names, else on PATH, under CUDA_HOME, or where NVIDIA's installers put it (the newest); null if there is none. */
export async function findNvcc(): Promise<Nvcc | null> {
  for (const path of nvccPlaces()) {
    const version = await runCommand(path, ['--version']);
    const release = /release (\d+\.\d+)/.exec(version.stdout)?.[1];
    if (version.status !== 0 || release === undefined) continue;
    const [codes, virtual] = await Promise.all([
      runCommand(path, ['--list-gpu-code']),
      runCommand(path, ['--list-gpu-arch']),
    ]);
    return { path, release, knows: `${codes.stdout} ${virtual.stdout}`.split(/\s+/).filter((name) => name) };
  }
  return null;
}

function nvccPlaces(): string[] {
  const local = '/usr/local';
  const installed = (existsSync(local) ? readdirSync(local) : [])
    .filter((name) => /^cuda(-[\d.]+)?$/.test(name))
    .sort((a, b) => versionOf(b) - versionOf(a));
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...(process.env.CUDA_HOME ? [join(process.env.CUDA_HOME, 'bin')] : []),
    ...installed.map((name) => join(local, name, 'bin')),
  ];
  const own = process.env.NVCC ? [process.env.NVCC] : [];
  return [...own, ...folders.map((folder) => join(folder, 'nvcc')).filter((path) => existsSync(path))];
}

/** "cuda" itself first: it is the one that the machine's owner chose. */
const versionOf = (name: string) => (name === 'cuda' ? Number.POSITIVE_INFINITY : Number(name.slice(5)));

/** Whether a library is as it should be: it holds the targets, or all that the cards here need. */
function isEnough(targets: readonly string[], held: readonly string[], cards: readonly string[]): boolean {
  const serves = cards.length > 0 && cards.every((capability) => serviceOf(held, capability) !== 'none');
  return targets.every((name) => held.includes(name)) || (wantedTargets() === null && serves);
}

/**
 * The CUDA library for the targets in question (TFGEO_CUDA_TARGETS, else all in {@link CUDA_TARGETS}), compiled if it
 * is not there. A compiler that is too old for some leaves them out and says so.
 * @param cards compute capabilities of the cards here: a library that serves them is left as it is
 * @throws UserError in one sentence: no nvcc, no host compiler, no target that nvcc knows
 */
export async function buildCuda(
  say: (line: string) => void,
  cards: readonly string[] = [],
): Promise<BuiltPart> {
  const root = requireWritableCache();
  const nvcc = await findNvcc();
  const wanted = wantedTargets() ?? CUDA_TARGETS;
  const targets = nvcc === null ? wanted : wanted.filter((name) => nvcc.knows.includes(name));
  const ready = () => {
    const { found } = findPart('cuda', null);
    return found !== null && isEnough(targets, found.targets ?? [], cards) ? found : null;
  };
  const there = ready();
  if (there !== null) return there;
  if (nvcc === null) {
    throw engineError(
      'the CUDA library cannot be compiled because there is no nvcc on PATH, under CUDA_HOME or in /usr/local/cuda; ' +
        "install NVIDIA's CUDA toolkit, 12.8 or newer for all targets",
    );
  }
  if (targets.length === 0) {
    throw engineError(
      `nvcc ${nvcc.release} knows none of ${wanted.join(', ')}; install a newer CUDA toolkit`,
    );
  }
  return withLock(join(root, 'build-cuda.lock'), async () => {
    const meanwhile = ready();
    if (meanwhile !== null) return meanwhile;
    const missing = wanted.filter((name) => !targets.includes(name));
    if (missing.length > 0) say(`nvcc ${nvcc.release} does not know ${missing.join(', ')}; left out`);
    say(`compiling the CUDA library for ${targets.join(', ')} (once, minutes) ...`);
    return compile(nvcc, targets, join(root, 'native', 'work', `cuda-${process.pid}`));
  });
}

async function compile(nvcc: Nvcc, targets: readonly string[], work: string): Promise<BuiltPart> {
  const root = packageRoot();
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const result = await runCommand(nvcc.path, [
      ...['-std=c++17', '-O3', '--shared', '-cudart', 'static', '-Xcompiler', '-fPIC,-fvisibility=hidden'],
      ...['-Xptxas', '-v', '-Xfatbin', '-compress-all', `-DTFGEO_CUDA_TARGETS="${targets.join(' ')}"`],
      ...targets.flatMap(targetArguments),
      ...['-o', join(work, 'tfgeo_cuda.so'), ...cudaUnits(root)],
    ]);
    const log = result.stdout + result.stderr;
    if (result.status !== 0) throw engineError(explain(log, work));
    writeFileSync(join(work, PTXAS_LOG), log);
    return keepProducts('cuda', work, buildKey('cuda', null), { targets: [...targets], extra: [PTXAS_LOG] });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function explain(log: string, work: string): string {
  if (/No space left on device/.test(log))
    return 'the CUDA library cannot be compiled because the disk is full';
  if (
    /failed to find|not found|No such file or directory.*(g\+\+|gcc)|cc1plus/.test(log) &&
    !/error:/.test(log)
  )
    return 'the CUDA library cannot be compiled because nvcc found no host compiler; install g++';
  const first = log.split('\n').find((line) => /error|fatal/i.test(line)) ?? lastLine(log);
  const kept = `${work}.log`;
  writeFileSync(kept, log);
  return `the CUDA library did not compile (${first.trim()}); nvcc's output is in ${shortPath(kept)}`;
}

function engineError(message: string): UserError {
  return new UserError(message, EXIT_CODES.engine);
}
