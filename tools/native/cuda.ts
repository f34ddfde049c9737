// SPDX-License-Identifier: Apache-2.0
// The CUDA kernels for tests: compiled by nvcc for the card at hand, or by the host's compiler for the CPU in its stead.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findNvcc } from '../../src/engine/cuda_build.js';
import { architectureOf } from '../../src/engine/cuda_targets.js';
import { gpuInfo } from '../../src/engine/hardware.js';
import type { LibTensorFlow } from '../../src/engine/libtensorflow.js';
import { packageRoot } from '../../src/engine/paths.js';
import { runCommand } from '../../src/engine/process.js';
import { provideLibrary, sayOnStderr } from '../../src/engine/setup.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { type Command, provide, type Recipe } from './compile.js';

/** What runs the kernels. */
export type CudaDevice = 'gpu' | 'stand-in';

export interface CudaBuild {
  /** `tfgeo_cuda.so`. */
  library: string;
  /** The program of csrc/dev/ms_deform_attn_cuda.cc. */
  check: string;
  /** The program that checks the stand-in; null on a GPU. */
  selfTest: string | null;
}

const LIBRARY = 'tfgeo_cuda.so';
const CHECK = 'check_cuda';
const SELF_TEST = 'self_test';
const OPS = 'ops.so';
const SHIM = 'csrc/dev/cuda_shim';
const CHECK_SOURCE = 'csrc/dev/ms_deform_attn_cuda.cc';
const OPS_SOURCE = 'csrc/dev/cuda_op.cc';
const HOST = ['-std=c++17', '-O2', '-fPIC', '-fvisibility=hidden', '-pthread'];

/** Kernels, and what they need of the CPU's. */
function kernelSources(): string[] {
  const kernels = readdirSync(join(packageRoot(), 'csrc/kernels')).filter((name) => name.endsWith('.cu'));
  return [...kernels.sort(), 'ms_deform_attn_check.cc'].map((name) => `csrc/kernels/${name}`);
}

/** Files of csrc/kernels and csrc/dev that the builds below can depend on. */
function sourcesOf(...programs: string[]): string[] {
  const listed = (folder: string, wanted: (name: string) => boolean) =>
    readdirSync(join(packageRoot(), folder))
      .filter(wanted)
      .map((name) => `${folder}/${name}`);
  const needed = ['ms_deform_attn_check.cc', 'isa.cc'];
  return [
    ...listed('csrc/kernels', (name) => !name.endsWith('.cc') || needed.includes(name)),
    ...listed('csrc/dev', (name) => name.endsWith('.h')),
    SHIM,
    ...programs,
  ];
}

const stem = (file: string) => file.slice(file.lastIndexOf('/') + 1).replace(/\.\w+$/, '');

// ---- the CPU in the place of a card ----

const standIn = (): Recipe => ({
  name: 'cuda-shim',
  sources: sourcesOf(CHECK_SOURCE),
  settings: [],
  products: [LIBRARY, CHECK, SELF_TEST],
  stages(out) {
    const shim = readdirSync(join(packageRoot(), SHIM)).filter((name) => name.endsWith('.cc'));
    const parts = [
      ...kernelSources(),
      ...shim.filter((name) => name !== `${SELF_TEST}.cc`).map((name) => `${SHIM}/${name}`),
    ];
    const compile = (file: string): Command => [
      compiler(),
      ...HOST,
      ...['-Wno-unknown-pragmas', '-I', SHIM, '-DTFGEO_CUDA_TARGETS="the CPU"', '-x', 'c++', '-c', file],
      ...['-o', join(out, `${stem(file)}.part.o`)],
    ];
    const objects = parts.map((file) => join(out, `${stem(file)}.part.o`));
    const library = join(out, LIBRARY);
    const program = (name: string, object: string): Command => [
      ...([compiler(), '-pthread', join(out, `${object}.part.o`), library, '-Wl,-rpath,$ORIGIN'] as const),
      ...['-o', join(out, name)],
    ];
    return [
      [...parts, CHECK_SOURCE, `${SHIM}/${SELF_TEST}.cc`].map((file) =>
        file === CHECK_SOURCE ? renamed(compile(file), join(out, `${CHECK}.part.o`)) : compile(file),
      ),
      [[compiler(), '-shared', '-pthread', `-Wl,-soname,${LIBRARY}`, ...objects, '-o', library]],
      [program(CHECK, CHECK), program(SELF_TEST, SELF_TEST)],
    ];
  },
});

/** The same command with another output, its last argument. */
const renamed = (command: Command, output: string) => [...command.slice(0, -1), output] as unknown as Command;

const compiler = () => process.env.CXX ?? 'g++';

// ---- a card ----

interface Gpu {
  /** `sm_90`. */
  arch: string;
  nvcc: string;
}

/**
 * The card and the compiler for it.
 * @throws UserError saying which of them is missing
 */
export async function findGpu(): Promise<Gpu> {
  const { gpus, note } = await gpuInfo();
  const capability = gpus[0]?.computeCapability;
  if (!capability) {
    throw new UserError(
      `no GPU can be used here (${note}); --path cuda-shim runs the CUDA kernels on the CPU`,
      EXIT_CODES.engine,
    );
  }
  const nvcc = await findNvcc();
  if (nvcc === null) {
    throw new UserError(
      'there is no nvcc to compile the CUDA kernels; install CUDA 12.8 or newer, or set NVCC',
      EXIT_CODES.engine,
    );
  }
  return { arch: architectureOf(capability), nvcc: nvcc.path };
}

/** CUDA's folder with include/ and lib64/, from where nvcc itself finds it. */
async function toolkitOf(nvcc: string): Promise<string> {
  const nothing = ['--dryrun', '-x', 'cu', '-c', '/dev/null', '-o', '/dev/null'];
  const { stderr, stdout } = await runCommand(nvcc, nothing);
  const top = /^#\$ TOP=(.*)$/m.exec(stderr + stdout)?.[1]?.trim();
  const root = top ?? dirname(dirname(nvcc));
  if (existsSync(join(root, 'include', 'cuda_runtime.h'))) return root;
  throw new UserError(`${nvcc} belongs to no CUDA with headers (looked in ${root})`, EXIT_CODES.engine);
}

/** Code for `arch` and nothing else, so that other cards must refuse it. */
const onGpu = (name: string, { arch, nvcc }: Gpu): Recipe => ({
  name,
  sources: sourcesOf(CHECK_SOURCE),
  settings: [],
  products: [LIBRARY, CHECK],
  stages(out) {
    const only = `-gencode=arch=${arch.replace('sm', 'compute')},code=${arch}`;
    const flags = ['-std=c++17', '-O3', only, '-cudart', 'static'];
    const parts = kernelSources();
    const object = (file: string) => join(out, `${stem(file)}.part.o`);
    const compile = (file: string): Command => [
      ...([nvcc, ...flags, '-Xcompiler', '-fPIC,-fvisibility=hidden'] as const),
      ...[`-DTFGEO_CUDA_TARGETS="${arch}"`, '-x', 'cu', '-c', file, '-o', object(file)],
    ];
    const check = join(out, `${CHECK}.part.o`);
    const library = join(out, LIBRARY);
    return [
      [...parts.map(compile), renamed(compile(CHECK_SOURCE), check)],
      [[nvcc, ...flags, '-shared', '-Xlinker', `-soname,${LIBRARY}`, ...parts.map(object), '-o', library]],
      [[nvcc, ...flags, check, library, '-Xlinker', '-rpath,$ORIGIN', '-o', join(out, CHECK)]],
    ];
  },
});

// ---- both ----

/** Compiles the kernels and the program that checks them, or finds them. */
export async function provideCuda(device: CudaDevice): Promise<CudaBuild> {
  const folder = await provide(device === 'gpu' ? onGpu('cuda', await findGpu()) : standIn());
  return {
    library: join(folder, LIBRARY),
    check: join(folder, CHECK),
    selfTest: device === 'gpu' ? null : join(folder, SELF_TEST),
  };
}

/** The program that checks the kernels, in a build that the card at hand cannot run. */
export async function provideForeignCuda(): Promise<string> {
  const { arch, nvcc } = await findGpu();
  const other = arch.startsWith('sm_9') ? 'sm_120' : 'sm_90';
  return join(await provide(onGpu('cuda-foreign', { arch: other, nvcc })), CHECK);
}

/** Deformable attention for TensorFlow's CPU that computes on `device`: settings for a process that uses it. */
export async function provideCudaOps(device: CudaDevice): Promise<Record<string, string>> {
  const { library } = await provideCuda(device);
  const { library: tensorflow } = await provideLibrary(true, sayOnStderr);
  if (tensorflow.include === null) {
    throw new UserError(
      `${tensorflow.folder} has no TensorFlow headers to compile against`,
      EXIT_CODES.engine,
    );
  }
  const cuda =
    device === 'stand-in'
      ? { headers: SHIM, link: [library, `-Wl,-rpath,${dirname(library)}`] }
      : await realCuda((await findGpu()).nvcc);
  const folder = await provide(opLibrary(device, tensorflow, cuda));
  return { TFGEO_OP_LIBRARY: join(folder, OPS), TFGEO_CUDA_LIBRARY: library };
}

/** Where an op library finds memory of the device. */
interface CudaRuntime {
  headers: string;
  link: string[];
}

const opLibrary = (device: CudaDevice, tensorflow: LibTensorFlow, cuda: CudaRuntime): Recipe => ({
  name: device === 'gpu' ? 'cuda-ops' : 'cuda-shim-ops',
  sources: [...sourcesOf(OPS_SOURCE), 'csrc/tf'],
  settings: [tensorflow.version ?? ''],
  products: [OPS],
  stages(out) {
    const own = ['ms_deform_attn_op', 'ms_deform_attn_call', 'cuda_library'].map(
      (name) => `csrc/tf/${name}.cc`,
    );
    const files = [OPS_SOURCE, ...own, 'csrc/kernels/ms_deform_attn_check.cc', 'csrc/kernels/isa.cc'];
    const object = (file: string) => join(out, `${stem(file)}.part.o`);
    // The flags of binding.gyp that decide about the ABI. TensorFlow's headers are not ours to warn about.
    const flags = [...HOST, '-O1', '-frtti', '-DEIGEN_MAX_ALIGN_BYTES=64', '-w'];
    const headers = ['-isystem', tensorflow.include!, '-I', cuda.headers];
    const libraries = [...cuda.link, `-L${tensorflow.folder}`, '-l:libtensorflow_framework.so.2', '-ldl'];
    return [
      files.map((file) => [compiler(), ...flags, ...headers, '-c', file, '-o', object(file)]),
      [[compiler(), '-shared', '-pthread', ...files.map(object), ...libraries, '-o', join(out, OPS)]],
    ];
  },
});

async function realCuda(nvcc: string): Promise<CudaRuntime> {
  const toolkit = await toolkitOf(nvcc);
  return {
    headers: join(toolkit, 'include'),
    link: [`-L${join(toolkit, 'lib64')}`, '-lcudart_static', '-lrt', '-lpthread'],
  };
}
