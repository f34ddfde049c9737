// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

/** The program of bench/cuda.sh with everything compiled for the processor: what it says, not how fast it is. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
let folder = '';
let program = '';
let reference = '';

interface Results {
  card: { name: string };
  torch: string | null;
  rows: { case: string; type: string; direction: string; microseconds: Record<string, number[]> }[];
  differences: Record<string, Record<string, number>>;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-bench-cuda-'));
  execFileSync('bash', ['bench/cuda.sh', '--shim', '--compile', '--build', folder], { cwd: root });
  const built = join(folder, 'shim');
  program = join(built, 'bench');
  reference = join(folder, 'fake.so');
  const kernels = readdirSync(join(built, 'cpu')).map((name) => join(built, 'cpu', name));
  const sources = [join(here, 'fake_reference.cc'), ...kernels];
  execFileSync('g++', ['-std=c++17', '-O1', '-shared', '-fPIC', ...sources, '-o', reference]);
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(args: string[], env: Record<string, string> = {}) {
  const all = ['--smoke', '--rounds', '2', '--reference-library', reference, ...args];
  return spawnSync(program, all, { encoding: 'utf8', env: { ...process.env, ...env } });
}

describe('the CUDA benchmark', () => {
  it('times all types and directions, and writes them as a table and as JSON', () => {
    const { status, stdout, stderr } = run(['--out', join(folder, 'out')]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('| encoder, smoke | local | backward |');
    const [json, markdown] = readdirSync(join(folder, 'out')).sort();
    expect(json).toMatch(/^cuda_[a-z0-9-]+_\d{4}-\d\d-\d\d\.json$/);
    expect(markdown).toBe(json!.replace('.json', '.md'));
    const results = JSON.parse(readFileSync(join(folder, 'out', json!), 'utf8')) as Results;
    expect(results.torch).toBeNull();
    for (const type of ['float32', 'float16', 'bfloat16']) {
      for (const direction of ['forward', 'backward', 'forward + backward']) {
        const rows = results.rows.filter((row) => row.type === type && row.direction === direction);
        expect(rows).toHaveLength(4);
        for (const { microseconds } of rows) {
          const sides = type === 'float32' ? ['fake', 'located', 'raw'] : ['located', 'raw'];
          expect(Object.keys(microseconds).sort()).toEqual(sides);
          for (const times of Object.values(microseconds)) {
            expect(times).toHaveLength(direction === 'forward + backward' ? 1 : 2);
            expect(Math.min(...times)).toBeGreaterThan(0);
          }
        }
      }
    }
    for (const [name, tensors] of Object.entries(results.differences)) {
      for (const difference of Object.values(tensors))
        expect(difference).toBeLessThan(name.includes('float32') ? 1e-4 : 1.6e-2);
    }
    expect(Object.keys(results.differences)).toContain('dim 5, smoke, local, float16: raw');
  });

  it('names the rows where another is faster', () => {
    const { stdout } = run(['--only', 'dim 5, smoke, local, float32']);
    expect(stdout).toMatch(/slower than the reference: float32, dim 5, smoke, local, forward: fake/);
  });

  it('fails where a reference disagrees, and writes nothing', () => {
    const { status, stdout } = run(['--out', join(folder, 'wrong')], { FAKE_REFERENCE_WRONG: '1' });
    expect(status).toBe(1);
    expect(stdout).toMatch(/DISAGREE {2}encoder, smoke, uniform, float32: fake, output/);
    expect(readdirSync(folder)).not.toContain('wrong');
  });

  it('fails where PyTorch disagrees', () => {
    const { status, stdout } = run([
      ...['--torch', process.execPath, join(here, 'fake_torch.mjs')],
      ...['--only', 'dim 5, smoke, local'],
    ]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/DISAGREE {2}dim 5, smoke, local, float32: torch, output: 1/);
    expect(stdout).toMatch(/\| dim 5, smoke \| local \| forward \|.*\| 500 \|/); // of the other types: 0.5 ms
  });

  it('goes on without PyTorch where a case is too large for it', () => {
    const torch = ['--torch', process.execPath, join(here, 'fake_torch.mjs')];
    const { status, stdout } = run([...torch, '--only', 'dim 5, smoke, local'], { FAKE_TORCH_FULL: '1' });
    expect(status).toBe(0);
    expect(stdout).toContain(
      'dim 5, smoke, local, float16: left out, PyTorch: error OutOfMemoryError: it is full',
    );
    expect(stdout).toMatch(/\| dim 5, smoke \| local \| forward \|.*\| - \| - \|\n/);
  });

  it('says in one line what is wrong', () => {
    const { status, stderr } = run(['--only', 'nothing']);
    expect(status).toBe(2);
    expect(stderr).toBe(`ms_deform_attn_cuda: no case has "nothing" in its name\n`);
  });
});
