// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { cpuInfo } from '../../src/engine/hardware.js';
import { packageRoot } from '../../src/package.js';
import { readAreas } from '../../tools/parity/manifest.js';
import { runInProcess } from '../../tools/parity/paths.js';

const FIXTURES = join(packageRoot(), 'test', 'fixtures');
const before = { ...process.env };

afterEach(() => {
  process.env = { ...before };
});

/** The instruction sets of this processor that kernels are compiled for. */
function instructionSets(): string[] {
  if (process.arch === 'arm64') return ['neon'];
  const { features } = cpuInfo();
  const rows: [path: string, feature: string][] = [
    ['avx2', 'AVX2'],
    ['avx512', 'AVX-512'],
  ];
  return ['portable', ...rows.filter(([, feature]) => features.includes(feature)).map(([path]) => path)];
}

describe('paths that run in a process of their own', () => {
  const areas = readAreas(FIXTURES, ['msda']);

  it.each(instructionSets())('%s agrees with the golden vectors', async (path) => {
    const seen: string[] = [];
    const results = await runInProcess(FIXTURES, areas, path, { onResult: ({ name }) => seen.push(name) });
    expect(results.filter((result) => !result.passed || result.path !== path)).toEqual([]);
    expect(seen).toEqual(areas[0]!.cases.map(({ name }) => name));
  });

  it('run only kinds that have them', async () => {
    expect(await runInProcess(FIXTURES, readAreas(FIXTURES, ['optim']), 'portable')).toEqual([]);
    expect(await runInProcess(FIXTURES, areas, 'portable', { kinds: ['assignment'] })).toEqual([]);
  });

  it('say what the process lacks', async () => {
    process.env.PATH = '';
    await expect(runInProcess(FIXTURES, areas, 'cuda')).rejects.toThrow(
      /no GPU can be used here .*--path cuda-shim runs the CUDA kernels on the CPU/,
    );
  });
});
