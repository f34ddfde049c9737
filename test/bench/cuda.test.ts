// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';

function cudaSh(...args: string[]): { status: number | null; stderr: string; stdout: string } {
  return spawnSync('bash', [join(root, 'bench', 'cuda.sh'), ...args], { cwd: folder, encoding: 'utf8' });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-cuda-sh-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('bench/cuda.sh', () => {
  it('lists its flags', () => {
    const { status, stdout } = cudaSh('--help');
    expect(status).toBe(0);
    for (const flag of ['--reference DIR', '--check', '--sanitizer', '--shim'])
      expect(stdout).toContain(flag);
    expect(stdout).not.toContain('set -euo');
  });

  it.each([
    [['--fast'], 'unknown flag --fast'],
    [['--rounds'], '--rounds needs a value'],
    [['--reference', 'nowhere'], 'there is no folder nowhere'],
  ])('refuses %j', (args, words) => {
    const { status, stderr } = cudaSh(...args);
    expect(stderr).toContain(words);
    expect(status).toBe(2);
  });

  it('says what a folder of other kernels lacks, before anything is compiled', () => {
    expect(cudaSh('--reference', folder).stderr).toContain('has neither ms_deform_im2col_cuda.cuh nor');
    writeFileSync(join(folder, 'ms_deform_attn_cuda_kernel.cuh'), '');
    expect(cudaSh('--reference', folder).stderr).toContain('needs common_cuda_helper.hpp beside it');
  });
});
