// SPDX-License-Identifier: Apache-2.0
// The programs of csrc/dev, compiled for a machine without anything else on it, TensorFlow and Node included.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { readManifest, replaceFolder, withLock, writeManifest } from '../../src/engine/cache.js';
import { requireWritableCache } from '../../src/engine/libtensorflow.js';
import { runCommand } from '../../src/engine/process.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';

const KERNELS = join('csrc', 'kernels');
const PROGRAMS = join('csrc', 'dev');
const FLAGS = ['-std=c++17', '-O3', '-pthread', '-Wall', '-Wextra'];
const KEPT_SETS = 2;

/**
 * Compiles every kernel once and links it into each program of `csrc/dev`, statically; kept until a source changes.
 * @returns the programs' paths
 */
export async function providePrograms(root: string, compiler: string): Promise<string[]> {
  const sources = [KERNELS, PROGRAMS].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => join(folder, name)),
  );
  const hash = createHash('sha256').update(`${compiler} ${FLAGS}`);
  for (const file of sources.filter((name) => /\.(cc|h)$/.test(name)).sort())
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  const sets = join(requireWritableCache(), 'aarch64', 'programs');
  const folder = join(sets, hash.digest('hex').slice(0, 16));
  // Programs for CUDA need nvcc or its stand-in.
  const units = sources.filter((name) => name.endsWith('.cc') && !name.endsWith('_cuda.cc'));
  await withLock(join(sets, '..', 'programs.lock'), async () => {
    if (readManifest(folder) !== null) return;
    const temporary = `${folder}.tmp-${process.pid}`;
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    try {
      await compileAll(root, compiler, units, temporary);
      writeManifest(temporary, { version: compiler, files: {} });
      replaceFolder(temporary, folder);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
    const others = readdirSync(sets).filter((name) => join(sets, name) !== folder);
    for (const name of others.slice(KEPT_SETS)) rmSync(join(sets, name), { recursive: true, force: true });
  });
  return units.filter((name) => name.startsWith(PROGRAMS)).map((name) => join(folder, stem(name)));
}

const stem = (file: string) => basename(file, '.cc');

async function compileAll(root: string, compiler: string, units: readonly string[], output: string) {
  const objectOf = (unit: string) => join(output, `${unit.replaceAll('/', '_')}.o`);
  const queue = [...units];
  const worker = async () => {
    for (let unit = queue.shift(); unit !== undefined; unit = queue.shift())
      await must(compiler, [...FLAGS, '-c', unit, '-o', objectOf(unit)], root);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
  const kernels = units.filter((unit) => unit.startsWith(KERNELS)).map(objectOf);
  for (const unit of units.filter((name) => name.startsWith(PROGRAMS))) {
    await must(
      compiler,
      ['-static', '-pthread', objectOf(unit), ...kernels, '-o', join(output, stem(unit))],
      root,
    );
  }
  for (const unit of units) rmSync(objectOf(unit));
}

async function must(compiler: string, args: readonly string[], cwd: string): Promise<void> {
  const result = await runCommand(compiler, args, { cwd });
  if (result.status === 0) return;
  const first = result.stderr.split('\n').find((line) => /error/.test(line)) ?? result.stderr.slice(0, 300);
  throw new UserError(`${args.at(-1)} did not compile (${first.trim()})`, EXIT_CODES.engine);
}
