// SPDX-License-Identifier: Apache-2.0
// The CUDA kernels, compiled for the CPU that stands in for a card; and on the card where there is one.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { UserError } from '../../src/errors.js';
import { packageRoot } from '../../src/package.js';
import { type CudaBuild, findGpu, provideCuda } from '../../tools/native/cuda.js';
import { readAreas } from '../../tools/parity/manifest.js';
import { runInProcess } from '../../tools/parity/paths.js';

const FIXTURES = join(packageRoot(), 'test', 'fixtures');
const COMPILING = 600_000;

/** Runs a program of checks and gives how many were right; those that were not are in the message. */
function checksOf(program: string, args: string[], env: Record<string, string> = {}): number {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  const lines = stdout.split('\n');
  expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
  expect(status).toBe(0);
  return lines.filter((line) => line.startsWith('ok ')).length;
}

describe('CUDA kernels on the CPU', () => {
  let build: CudaBuild;
  beforeAll(async () => {
    build = await provideCuda('stand-in');
  }, COMPILING);

  it('run on a stand-in that finds races, stray accesses and divergent barriers', () => {
    expect(checksOf(build.selfTest!, [])).toBeGreaterThan(100);
  });

  it('agree with the definition for awkward shapes, all types and forms, and refuse what is wrong', () => {
    expect(checksOf(build.check, ['check'])).toBeGreaterThan(400);
  });

  it('do so in any order of threads', () => {
    expect(checksOf(build.check, ['check'], { TFGEO_SHIM_SEED: '1' })).toBeGreaterThan(400);
  });

  it('agree with the golden vectors', () => {
    expect(checksOf(build.check, ['fixtures', FIXTURES])).toBeGreaterThan(50);
  });

  it(
    'agree with them as TensorFlow operators',
    async () => {
      const areas = readAreas(FIXTURES, ['msda']);
      const results = await runInProcess(FIXTURES, areas, 'cuda-shim');
      expect(results.filter(({ passed }) => !passed)).toEqual([]);
      expect(results.map(({ name, path }) => [name, path])).toEqual(
        areas[0]!.cases.map(({ name }) => [name, 'cuda-shim']),
      );
    },
    COMPILING,
  );
});

const gpu = await findGpu().catch((error: unknown) => {
  if (error instanceof UserError) return error.message;
  throw error;
});

describe('CUDA kernels on a GPU', () => {
  const test = typeof gpu === 'string' ? it.skip : it;

  test(
    typeof gpu === 'string' ? `pass all checks (left out: ${gpu})` : 'pass all checks',
    () => {
      const tool = join(packageRoot(), 'tools', 'test_cuda.ts');
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', tool], {
        cwd: packageRoot(),
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
      });
      expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
    },
    COMPILING,
  );
});
