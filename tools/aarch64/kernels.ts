// SPDX-License-Identifier: Apache-2.0
// The programs of csrc/dev, compiled for a machine without anything else on it, TensorFlow and Node included.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packageRoot } from '../../src/engine/paths.js';
import { type Command, provide } from '../native/compile.js';

const KERNELS = 'csrc/kernels';
const PROGRAMS = 'csrc/dev';
const FLAGS = ['-std=c++17', '-O3', '-pthread', '-Wall', '-Wextra'];

const stem = (file: string) => basename(file, '.cc');

/** Programs that check kernels on the CPU; those for CUDA need nvcc or its stand-in. */
function programSources(root: string): string[] {
  return filesIn(root, PROGRAMS, '.cc').filter((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return /^int main\(/m.test(text) && !text.includes('<cuda_runtime.h>');
  });
}

function filesIn(root: string, folder: string, ending: string): string[] {
  const names = readdirSync(join(root, folder)).filter((name) => name.endsWith(ending));
  return names.map((name) => `${folder}/${name}`).sort();
}

/**
 * Compiles every kernel once and links it into each program, statically; kept until a source changes.
 * @returns the programs' paths
 */
export async function providePrograms(compiler: string, say: (line: string) => void): Promise<string[]> {
  const root = packageRoot();
  const programs = programSources(root);
  const kernels = filesIn(root, KERNELS, '.cc');
  const names = programs.map(stem);
  const folder = await provide(
    {
      name: 'aarch64-kernels',
      sources: [KERNELS, ...filesIn(root, PROGRAMS, '.h'), ...programs],
      settings: [compiler],
      products: names,
      stages: (out) => {
        const objectOf = (unit: string) => join(out, `${unit.replaceAll('/', '_')}.o`);
        const compile = (unit: string): Command => [compiler, ...FLAGS, '-c', unit, '-o', objectOf(unit)];
        const link = (unit: string): Command => [
          ...([compiler, '-static', '-pthread', objectOf(unit)] as const),
          ...[...kernels.map(objectOf), '-o', join(out, stem(unit))],
        ];
        return [[...kernels, ...programs].map(compile), programs.map(link)];
      },
    },
    say,
  );
  return names.map((name) => join(folder, name));
}
