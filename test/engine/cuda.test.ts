// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { buildCuda, findNvcc, PTXAS_LOG } from '../../src/engine/cuda_build.js';
import { describeCudaLibrary, describeService, inspectCuda } from '../../src/engine/cuda_doctor.js';
import { CUDA_TARGETS, serviceOf, wantedTargets } from '../../src/engine/cuda_targets.js';
import { gpuInfo } from '../../src/engine/hardware.js';
import { describeCuda } from '../../src/engine/index.js';
import { cudaUnits, findPart, sourceFiles } from '../../src/engine/native_parts.js';
import { packageRoot } from '../../src/engine/paths.js';
import { scratchFolder, writeScript } from './fake_wheel.js';

const before = process.env;
let folder: string;
let bin: string;
let libraries = 0;

beforeEach(() => {
  folder = scratchFolder();
  bin = join(folder, 'bin');
  mkdirSync(bin);
  const { TFGEO_CUDA_LIBRARY: _, TFGEO_CUDA_TARGETS: __, NVCC: ___, ...environment } = before;
  process.env = { ...environment, PATH: `${bin}:/usr/bin:/bin` };
});

afterEach(() => {
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});

/** A GPU as nvidia-smi would tell it. */
function useCard(name: string, capability: string): void {
  writeScript(join(bin, 'nvidia-smi'), `echo '${name}, ${capability}, 580.95.05, [N/A]'`);
}

/** An nvcc that knows these targets, notes its arguments in nvcc.log and writes a file in place of a library. */
function useNvcc(knows: readonly string[], compile = 'echo library > "$2"'): () => string[] {
  const log = join(folder, 'nvcc.log');
  const list = (kind: string) => knows.filter((name) => name.startsWith(kind)).join(' ');
  writeScript(
    join(bin, 'nvcc'),
    `case "$1" in
  --version) echo "Cuda compilation tools, release 12.4, V12.4.99" ;;
  --list-gpu-code) echo "${list('sm')}" ;;
  --list-gpu-arch) echo "${list('compute')}" ;;
  *) echo "$@" >> '${log}'
     while [ "$1" != "-o" ]; do shift; done
     ${compile} ;;
esac`,
  );
  return () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
}

describe('targets', () => {
  it.each([
    ['9.0', 'SASS'],
    ['12.0', 'SASS'],
    ['12.1', 'SASS'],
    ['10.0', 'PTX'],
    ['13.0', 'PTX'],
    ['8.9', 'none'],
    ['7.5', 'none'],
  ])('of the package serve compute capability %s by %s', (capability, service) => {
    expect(serviceOf(CUDA_TARGETS, capability)).toBe(service);
  });

  it('run on later cards of their generation, unless they are for one card alone', () => {
    expect(serviceOf(['sm_80'], '8.6')).toBe('SASS');
    expect(serviceOf(['sm_86'], '8.0')).toBe('none');
    expect(serviceOf(['sm_90a', 'compute_90a'], '10.0')).toBe('none');
    expect(serviceOf(['sm_90a'], '9.0')).toBe('SASS');
    expect(serviceOf([], '9.0')).toBe('none');
  });

  it('are read from the environment', () => {
    expect(wantedTargets('sm_86, compute_86')).toEqual(['sm_86', 'compute_86']);
    expect(wantedTargets(' ')).toBeNull();
    expect(() => wantedTargets('sm86')).toThrow('TFGEO_CUDA_TARGETS: "sm86" is no target');
  });
});

describe('the CUDA library', () => {
  beforeEach(() => {
    process.env.XDG_CACHE_HOME = folder;
  });

  it('is made of the CUDA sources and what they include, not of the CPU kernels', () => {
    const root = packageRoot();
    const names = sourceFiles(root, 'cuda').map((file) => file.slice(root.length + 1));
    expect(names).toContain('csrc/kernels/ms_deform_attn.cu');
    expect(names).toContain('csrc/kernels/device.cuh');
    expect(names).toContain('csrc/kernels/ms_deform_attn_check.cc');
    expect(names).not.toContain('csrc/kernels/ms_deform_attn.cc');
    expect(names).not.toContain('csrc/kernels/ms_deform_attn_body.h');
  });

  it('is compiled once for what nvcc knows, and what it does not know is said', async () => {
    const calls = useNvcc(['sm_90', 'compute_90']);
    const said: string[] = [];
    const built = await buildCuda((line) => said.push(line));
    expect(built).toMatchObject({ from: 'built', targets: ['sm_90', 'compute_90'] });
    expect(said).toEqual([
      'nvcc 12.4 does not know sm_120, sm_121, compute_121; left out',
      expect.stringContaining('for sm_90, compute_90'),
    ]);
    const [call] = calls();
    expect(call).toContain('-gencode arch=compute_90,code=sm_90 -gencode arch=compute_90,code=compute_90');
    expect(call).toContain('-DTFGEO_CUDA_TARGETS="sm_90 compute_90"');
    for (const unit of cudaUnits(packageRoot())) expect(call).toContain(unit);
    expect(existsSync(join(dirname(built.path), PTXAS_LOG))).toBe(true);
    expect(await buildCuda(() => {})).toMatchObject({ from: 'cache', path: built.path });
    expect(calls()).toHaveLength(1);
    expect(findPart('cuda', null).found?.targets).toEqual(['sm_90', 'compute_90']);
    expect(describeCuda(built)).toMatch(/^cuda: .* \(built; sm_90, compute_90\)$/);
  });

  it('is compiled anew for targets of its own, and then left while it serves the cards', async () => {
    const calls = useNvcc(['sm_86', 'sm_90', 'compute_90']);
    await buildCuda(() => {});
    process.env.TFGEO_CUDA_TARGETS = 'sm_86';
    expect((await buildCuda(() => {})).targets).toEqual(['sm_86']);
    delete process.env.TFGEO_CUDA_TARGETS;
    expect(await buildCuda(() => {}, ['8.6'])).toMatchObject({ from: 'cache', targets: ['sm_86'] });
    expect(calls()).toHaveLength(2);
    expect((await buildCuda(() => {}, ['9.0'])).targets).toEqual(['sm_90', 'compute_90']);
  });

  it('says in one sentence why it cannot be compiled, and leaves nothing half-done', async () => {
    useNvcc(['sm_70']);
    await expect(buildCuda(() => {})).rejects.toThrow('nvcc 12.4 knows none of sm_90');
    useNvcc(['sm_90'], 'echo "a.cu(3): error: no such thing" >&2; echo half > "$2"; exit 2');
    await expect(buildCuda(() => {})).rejects.toThrow(
      /did not compile \(a\.cu\(3\): error: no such thing\); nvcc's output is in .*\.log/,
    );
    expect(findPart('cuda', null).found).toBeNull();
    expect(readdirSync(join(folder, 'tfgeo', 'native')).filter((name) => name.startsWith('cuda'))).toEqual(
      [],
    );
  });

  it('finds nvcc under CUDA_HOME too', async () => {
    const home = join(folder, 'home', 'bin');
    mkdirSync(home, { recursive: true });
    useNvcc(['sm_90']);
    execFileSync('mv', [join(bin, 'nvcc'), home]);
    process.env.CUDA_HOME = join(folder, 'home');
    process.env.PATH = bin;
    expect(await findNvcc()).toMatchObject({ path: join(home, 'nvcc'), release: '12.4', knows: ['sm_90'] });
  });
});

describe('the operators', () => {
  it('are told where the CUDA library is, unless the user has named one', async () => {
    const addon = findPart('addon', null).found!;
    process.env.XDG_CACHE_HOME = folder;
    useNvcc(['sm_90']);
    const { path } = await buildCuda(() => {});
    const code = `
      const { nameCudaLibrary } = await import('./src/engine/load.ts');
      nameCudaLibrary(${JSON.stringify(addon)});
      console.log(process.env.TFGEO_CUDA_LIBRARY);`;
    const named = (env: Record<string, string>) =>
      execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
        cwd: packageRoot(),
        env: { ...process.env, NODE_OPTIONS: '', ...env },
        encoding: 'utf8',
      }).trim();
    expect(named({})).toBe(path);
    expect(named({ TFGEO_CUDA_LIBRARY: '/somewhere/else.so' })).toBe('/somewhere/else.so');
  });
});

describe('doctor on GPUs', () => {
  /** A shared library that answers as tfgeo_cuda.so does, or does not. */
  function fakeLibrary(source: string): string {
    writeFileSync(join(folder, 'fake.c'), source);
    // A new name each time: the one before may be open.
    const path = join(folder, `fake${libraries++}.so`);
    execFileSync('g++', ['-x', 'c', '-shared', '-fPIC', join(folder, 'fake.c'), '-o', path]);
    return path;
  }
  const answer = (targets: string) => `const char* tfgeo_cuda_targets(void) { return "${targets}"; }`;

  it('asks the library for its targets and compares them with the cards', async () => {
    process.env.TFGEO_CUDA_LIBRARY = fakeLibrary(answer('sm_121 compute_90'));
    useCard('NVIDIA GB10', '12.1');
    const report = await inspectCuda((await gpuInfo()).gpus);
    expect(report).toMatchObject({
      from: 'TFGEO_CUDA_LIBRARY',
      targets: ['sm_121', 'compute_90'],
      cards: [{ name: 'NVIDIA GB10', architecture: 'sm_121', service: 'SASS' }],
      fix: null,
    });
    expect(describeCudaLibrary(report)).toMatch(/fake\d+\.so \(TFGEO_CUDA_LIBRARY\): sm_121, compute_90$/);
    expect(describeService(report.cards[0]!)).toBe('served by machine code for sm_121');
    useCard('NVIDIA B200', '10.0');
    const other = await inspectCuda((await gpuInfo()).gpus);
    expect(describeService(other.cards[0]!)).toContain('PTX, which the driver translates to sm_100');
  });

  it('names the command where a card is not served', async () => {
    process.env.TFGEO_CUDA_LIBRARY = fakeLibrary(answer('sm_90'));
    useCard('Tesla T4', '7.5');
    const { gpus } = await gpuInfo();
    expect((await inspectCuda(gpus)).fix?.command).toBe('unset TFGEO_CUDA_LIBRARY');
    delete process.env.TFGEO_CUDA_LIBRARY;
    process.env.XDG_CACHE_HOME = folder;
    useNvcc(['sm_75', 'sm_90'], `cp '${fakeLibrary(answer('sm_90'))}' "$2"`);
    const none = await inspectCuda(gpus);
    expect(none.cards[0]!.service).toBe('none');
    expect(none.fix?.command).toBe('npx tfgeo-train setup --cuda');
    await buildCuda(() => {});
    const built = await inspectCuda(gpus);
    expect(describeService(built.cards[0]!)).toBe('not served: no code for sm_75');
    expect(built.fix?.command).toBe('TFGEO_CUDA_TARGETS=sm_75 npx tfgeo-train setup --cuda');
  });

  it('says what is wrong with a library that is none', async () => {
    process.env.TFGEO_CUDA_LIBRARY = join(folder, 'absent.so');
    expect((await inspectCuda([])).reason).toContain('there is no ');
    process.env.TFGEO_CUDA_LIBRARY = fakeLibrary('int x;');
    expect((await inspectCuda([])).reason).toMatch(/fake\d+\.so is not a CUDA library of tfgeo/);
    process.env.TFGEO_CUDA_LIBRARY = join(folder, 'text.so');
    writeFileSync(process.env.TFGEO_CUDA_LIBRARY, 'no library');
    expect(await inspectCuda([])).toMatchObject({ path: null, reason: expect.stringContaining('text.so') });
  });
});
