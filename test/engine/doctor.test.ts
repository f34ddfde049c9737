// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { cpuFeatures, parseNvidiaSmi } from '../../src/engine/hardware.js';
import { doctor, formatDoctor } from '../../src/engine/index.js';
import { opNames } from '../../src/engine/op_list.js';

describe('doctor', () => {
  it('reports the engine, its versions, paths, devices and candidates', async () => {
    const report = await doctor();
    expect(report.engine).toBe('tensorflow');
    expect(report.versions.tensorflow).toMatch(/^2\./);
    expect(report.versions.node).toBe(process.version);
    expect(report.paths.libtensorflow).toMatch(/^\//);
    expect(report.devices.some((name) => name.includes('CPU'))).toBe(true);
    expect(report.threads!.intra).toBeGreaterThan(0);
    expect(report.cpu.cores).toBeGreaterThan(0);
    expect(report.candidates.map(({ source }) => source)).toEqual(['TFGEO_LIBTENSORFLOW', 'python', 'cache']);
    expect(report.candidates.filter(({ accepted }) => accepted)).toHaveLength(1);
    for (const { reason } of report.candidates) expect(reason).not.toBe('');
    expect(report.next.command).toMatch(/^(npx|sudo) /);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report.cuda.cards).toHaveLength(report.gpus.length);
    if (report.opLibrary.path !== null) {
      expect(['portable', 'avx2', 'avx512', 'neon']).toContain(report.cpuKernels);
      expect(report.opLibrary.builtFor).toMatch(/^(x86-64|aarch64), TensorFlow 2\./);
      expect(report.opLibrary.ops.length).toBeGreaterThan(0);
    }
    const text = formatDoctor(report);
    for (const word of ['engine', 'tensorflow', 'operators', 'gpu', 'cuda library', 'cache', 'next: '])
      expect(text).toContain(word);
  });
});

describe('what doctor reads', () => {
  it('knows the vector features of both kinds of processor', () => {
    expect(cpuFeatures('model name : x\nflags\t\t: fpu sse4_2 avx2 avx512f fma\n', 'x64')).toEqual([
      'SSE4.2',
      'AVX2',
      'FMA',
      'AVX-512',
    ]);
    expect(cpuFeatures('Features\t: fp asimd sve2 bf16\n', 'arm64')).toEqual(['NEON', 'SVE2', 'BF16']);
    expect(cpuFeatures('flags : avx2\n', 'arm64')).toEqual([]);
    expect(cpuFeatures('', 'x64')).toEqual([]);
  });

  it('reads what nvidia-smi says, also on machines that share memory', () => {
    expect(
      parseNvidiaSmi('NVIDIA GB10, 12.1, 580.95.05, [N/A]\nNVIDIA H100 80GB HBM3, 9.0, 550.1, 81559\n'),
    ).toEqual([
      { name: 'NVIDIA GB10', computeCapability: '12.1', driver: '580.95.05', memoryMiB: null },
      { name: 'NVIDIA H100 80GB HBM3', computeCapability: '9.0', driver: '550.1', memoryMiB: 81559 },
    ]);
    expect(parseNvidiaSmi('No devices were found\n')).toEqual([]);
  });

  it("reads op names out of TensorFlow's list", () => {
    const op = (name: string) =>
      Buffer.concat([
        Buffer.from([10, name.length + 4, 10, name.length]),
        Buffer.from(name),
        Buffer.from([0x18, 1]),
      ]);
    expect(opNames(Buffer.concat([op('First'), op('Second')]))).toEqual(['First', 'Second']);
    expect(() => opNames(Buffer.from([10]))).toThrow('cut short');
  });
});
