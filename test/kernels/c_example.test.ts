// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('the example of docs/kernels.md compiles as C and prints what stands there', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tfgeo-c-example-'));
  try {
    const run = (program: string, ...args: string[]) =>
      execFileSync(program, args, { cwd: root, encoding: 'utf8' });
    const sources = readdirSync(join(root, 'csrc/kernels'))
      .filter((name) => /^(ms_deform_attn\w*|isa)\.cc$/.test(name))
      .map((name) => `csrc/kernels/${name}`);
    const library = join(folder, 'libtfgeo_kernels.so');
    const program = join(folder, 'example');
    // Without optimisation: it is to be right, not fast.
    run('g++', '-std=c++17', '-O0', '-fPIC', '-shared', ...sources, '-o', library);
    const strict = ['-std=c11', '-Wall', '-Wextra', '-Werror'];
    run('gcc', ...strict, 'csrc/dev/ms_deform_attn_example.c', library, '-o', program);
    const [, printed] = /```text\n(.*?)```/s.exec(readFileSync(join(root, 'docs/kernels.md'), 'utf8'))!;
    expect(run(program)).toBe(printed);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
