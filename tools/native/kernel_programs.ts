// SPDX-License-Identifier: Apache-2.0
// The programs of csrc/dev that check the CPU kernels, one for each operator.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/engine/paths.js';
import { runCommand } from '../../src/engine/process.js';
import { type Command, provide, type Recipe } from './compile.js';

const SANITIZE = ['-O1', '-g', '-fno-omit-frame-pointer'];

/** How a program is compiled: for speed, or to report what it does wrong. */
export const VARIANTS = {
  // In the order of what they need to compile.
  fast: ['-O2'],
  asan: [...SANITIZE, '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  tsan: [...SANITIZE, '-fsanitize=thread'],
} as const;

export type Variant = keyof typeof VARIANTS;

/** Instruction sets that `TFGEO_ISA` may name, from the least to the most; see csrc/kernels/isa.cc. */
export const ISAS = process.arch === 'arm64' ? ['neon'] : ['portable', 'avx2', 'avx512'];

const listed = (folder: string) => readdirSync(join(packageRoot(), folder));

/** Operators whose CPU kernels have a program: `csrc/dev/<op>.cc` beside `csrc/kernels/<op>.cc`. */
export function checkedKernels(): string[] {
  return listed('csrc/dev')
    .filter((name) => name.endsWith('.cc'))
    .map((name) => name.slice(0, -'.cc'.length))
    .filter((op) => existsSync(join(packageRoot(), 'csrc/kernels', `${op}.cc`)))
    .sort();
}

function recipe(op: string, variant: Variant): Recipe {
  const kernels = listed('csrc/kernels')
    .filter((name) => name.endsWith('.cc') && (name.startsWith(op) || name === 'isa.cc'))
    .map((name) => `csrc/kernels/${name}`);
  const headers = ['csrc/kernels', 'csrc/dev', 'csrc/dev/cuda_shim'].flatMap((folder) =>
    listed(folder)
      .filter((name) => name.endsWith('.h'))
      .map((name) => `${folder}/${name}`),
  );
  const files = [`csrc/dev/${op}.cc`, ...kernels];
  const compiler = process.env.CXX ?? 'g++';
  const flags = ['-std=c++17', '-Wall', '-Wextra', '-pthread', ...VARIANTS[variant]];
  return {
    name: `check-${op}-${variant}`,
    sources: [...files, ...headers],
    settings: [],
    products: ['check'],
    stages(out) {
      const object = (file: string) => join(out, `${file.replaceAll('/', '-')}.o`);
      return [
        files.map((file): Command => [compiler, ...flags, '-c', file, '-o', object(file)]),
        [[compiler, ...flags, ...files.map(object), '-o', join(out, 'check')]],
      ];
    },
  };
}

/**
 * The program that checks an operator's CPU kernels, compiled when its sources have changed.
 * @throws UserError naming the missing compiler, or its first complaint
 */
export async function provideCheck(
  op: string,
  variant: Variant,
  say?: (line: string) => void,
): Promise<string> {
  return join(await provide(recipe(op, variant), say), 'check');
}

/** Instruction sets that there is code for: of some operators only one. */
export function isasOf(op: string): readonly string[] {
  const several = listed('csrc/kernels').some((name) => name.startsWith(op) && name.endsWith('_body.h'));
  return several ? ISAS : ISAS.slice(0, 1);
}

/** Exit status where the processor lacks an instruction set; see csrc/dev/dev.h. */
const LEFT_OUT = 5;

/** What a program of checks said. */
export interface Checked {
  /** Checks that held. */
  right: number;
  /** Lines of those that did not, and of sanitizers; empty when all is well. */
  wrong: string[];
}

/** Runs a program of checks with one instruction set; `null` where this processor lacks it. */
export async function runChecks(program: string, isa: string): Promise<Checked | null> {
  const env = { ...process.env, TFGEO_ISA: isa, TSAN_OPTIONS: 'halt_on_error=1', NODE_OPTIONS: '' };
  const result = await runCommand(program, ['check'], { env });
  if (result.status === LEFT_OUT) return null;
  const lines = result.stdout.split('\n');
  const right = lines.filter((line) => line.startsWith('ok ')).length;
  const said = [...lines.filter((line) => line.startsWith('FAIL')), ...result.stderr.trim().split('\n')];
  const wrong = said.filter((line) => line !== '');
  if (wrong.length === 0 && (result.status !== 0 || right === 0)) {
    wrong.push(`exit status ${result.status} after ${right} checks`);
  }
  return { right, wrong };
}
