// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { type CudaReport, describeCudaLibrary, describeService, inspectCuda } from './cuda_doctor.js';
import { type CpuInfo, cpuInfo, type GpuInfo, gpuInfo } from './hardware.js';
import { type Attempt, inspectAll } from './libtensorflow.js';
import { loadLoader } from './load.js';
import { findPart } from './native_parts.js';
import { cacheRoot, packageRoot, platformArch, shortPath } from './paths.js';
import { runCommand } from './process.js';
import { ready } from './ready.js';
import type { EngineInfo, OpLibraryInfo } from './types.js';

/** What {@link doctor} finds. */
export interface DoctorReport {
  /** Whether engine `tensorflow` works, operators included. */
  ok: boolean;
  engine: EngineInfo['engine'];
  /** Why it is that one. */
  reason: string;
  versions: {
    tfgeo: string;
    node: string;
    tfjs: string;
    tensorflow: string | null;
    python: string | null;
    compiler: string | null;
  };
  paths: { package: string; cache: string; libtensorflow: string | null; opLibrary: string | null };
  platform: string;
  cpu: CpuInfo;
  /** Instruction set that the operators' CPU kernels use here; null without operators. */
  cpuKernels: string | null;
  gpus: GpuInfo[];
  gpuNote: string;
  /** The library of GPU kernels, and how it serves the cards. */
  cuda: CudaReport;
  /** TensorFlow's devices; empty on other engines. */
  devices: string[];
  threads: { intra: number; inter: number } | null;
  /** tfgeo's operators: what they were built for, or why they are not there. */
  opLibrary: (OpLibraryInfo & { builtFor: string }) | { path: null; reason: string };
  /** Every libtensorflow that was considered, in order. */
  candidates: Attempt[];
  /** What to do next, and the command for it. */
  next: { why: string; command: string };
}

/**
 * Looks at everything engine `tensorflow` depends on, without downloading or compiling anything, and starts the best
 * engine that is there.
 */
export async function doctor(): Promise<DoctorReport> {
  const [info, { gpus, note }, python, compiler] = await Promise.all([
    ready({ setup: false }),
    gpuInfo(),
    versionOf('python3', ['--version']),
    versionOf(process.env.CXX ?? 'g++', ['--version']),
  ]);
  const candidates = await allCandidates(info);
  const report: Omit<DoctorReport, 'next'> = {
    ok: info.tensorflow?.opLibrary.path != null,
    engine: info.engine,
    reason: info.reason,
    versions: {
      tfgeo: packageVersion(),
      node: process.version,
      tfjs: tf.version_core,
      tensorflow: info.tensorflow?.version ?? null,
      python,
      compiler,
    },
    paths: {
      package: packageRoot(),
      cache: cacheRoot(),
      libtensorflow: info.tensorflow?.folder ?? null,
      opLibrary: info.tensorflow?.opLibrary.path ?? null,
    },
    platform: platformArch(),
    cpu: cpuInfo(),
    cpuKernels: cpuKernels(info),
    gpus,
    gpuNote: note,
    cuda: await inspectCuda(gpus),
    devices: info.tensorflow?.devices.map((device) => device.name) ?? [],
    threads: info.tensorflow && { intra: info.tensorflow.intraThreads, inter: info.tensorflow.interThreads },
    opLibrary: describeOps(info),
    candidates,
  };
  return { ...report, next: nextStep(report) };
}

/** The engine's own attempts stop at the first that serves; the rest is looked at too, so that the list is whole. */
async function allCandidates(info: EngineInfo): Promise<Attempt[]> {
  const seen = new Set(info.attempts.map((attempt) => attempt.source));
  const others = (await inspectAll()).filter(({ attempt }) => !seen.has(attempt.source));
  return [
    ...info.attempts,
    ...others.map(({ attempt, usable }) =>
      usable ? { ...attempt, accepted: false, reason: `not needed (${attempt.reason})` } : attempt,
    ),
  ];
}

const ELF_MACHINE_NAMES: Record<number, string> = { 62: 'x86-64', 183: 'aarch64' };

function describeOps(info: EngineInfo): DoctorReport['opLibrary'] {
  const ops = info.tensorflow?.opLibrary;
  if (ops === undefined) return { path: null, reason: `engine ${info.engine} does not use them` };
  if (ops.path === null) return ops;
  const machine = ELF_MACHINE_NAMES[readFileSync(ops.path).readUInt16LE(18)] ?? 'unknown';
  const builtFor = `${machine}, TensorFlow ${info.tensorflow!.version}`;
  return { ...ops, builtFor };
}

/** What the op library says of itself; one of somebody's own may say nothing. */
function cpuKernels(info: EngineInfo): string | null {
  const path = info.tensorflow?.opLibrary.path;
  const addon = findPart('addon', null).found;
  return path && addon ? loadLoader(addon).libraryText(path, 'tfgeo_cpu_isa') : null;
}

function nextStep(report: Omit<DoctorReport, 'next'>): DoctorReport['next'] {
  const has = (text: RegExp) =>
    text.test(`${report.reason} ${'reason' in report.opLibrary ? report.opLibrary.reason : ''}`);
  if (report.ok && report.cuda.fix !== null) return report.cuda.fix;
  if (report.ok) {
    return { why: 'everything is in place', command: 'npx tfgeo-train detect IMAGE --prompt "white boats"' };
  }
  if (report.engine === 'tensorflow' && has(/TFGEO_OP_LIBRARY/)) {
    return { why: 'that library does not serve; the own build will', command: 'unset TFGEO_OP_LIBRARY' };
  }
  if (report.engine === 'tensorflow' && has(/did not compile/)) {
    return {
      why: 'the operators did not compile; the rest works',
      command: 'npx tfgeo-train setup --refresh',
    };
  }
  if (report.versions.python === null && report.paths.libtensorflow === null) {
    return { why: 'TensorFlow comes with pip', command: 'sudo apt-get install python3 python3-pip' };
  }
  if (report.versions.compiler === null) {
    return { why: 'the addon has to be compiled', command: 'sudo apt-get install g++ make python3' };
  }
  if (has(/another TensorFlow/)) {
    return { why: 'this process holds another TensorFlow', command: 'npx tfgeo-train doctor' };
  }
  return { why: 'something is missing that setup can get', command: 'npx tfgeo-train setup' };
}

/** The report for people: one fact a line. */
export function formatDoctor(report: DoctorReport): string {
  const lines: [string, string][] = [
    ['engine', `${report.engine} (${report.reason})`],
    ['tfgeo', `${report.versions.tfgeo} in ${shortPath(report.paths.package)}`],
    ['node', `${report.versions.node}, tfjs ${report.versions.tfjs}`],
    ['tensorflow', describeTensorFlow(report)],
    [
      'threads',
      report.threads ? `${report.threads.intra} in an op, ${report.threads.inter} ops at a time` : '-',
    ],
    ['devices', report.devices.join(', ') || '-'],
    ['operators', describeOperators(report)],
    ['cpu', `${report.cpu.model}, ${report.cpu.cores} cores, ${report.platform}`],
    ['', report.cpu.features.join(', ') || 'no vector features known'],
    ['', report.cpuKernels === null ? 'no native kernels' : `the operators use ${report.cpuKernels}`],
    ...gpuLines(report),
    ['cuda library', shortPath(describeCudaLibrary(report.cuda))],
    ['python', report.versions.python ?? 'not found'],
    ['compiler', report.versions.compiler ?? 'not found'],
    ['nvcc', report.cuda.nvcc ? `${report.cuda.nvcc.release}, ${report.cuda.nvcc.path}` : 'not found'],
    ['cache', shortPath(report.paths.cache)],
  ];
  const width = 14;
  const table = lines.map(([name, value]) => `${name.padEnd(width)}${value}`);
  const candidates = report.candidates.map(
    ({ source, where, accepted, reason }) =>
      `  ${accepted ? 'used   ' : 'refused'}  ${source}${where ? ` ${shortPath(where)}` : ''}: ${reason}`,
  );
  const next = `next: ${report.next.command}    (${report.next.why})`;
  return [...table, 'libtensorflow, in the order they are tried:', ...candidates, next].join('\n');
}

function describeTensorFlow({ versions, paths }: DoctorReport): string {
  return versions.tensorflow
    ? `${versions.tensorflow} in ${shortPath(paths.libtensorflow ?? '')}`
    : 'not loaded';
}

function describeOperators({ opLibrary }: DoctorReport): string {
  if (opLibrary.path === null) return `none: ${opLibrary.reason}`;
  return `${opLibrary.ops.join(', ')} for ${opLibrary.builtFor} (${opLibrary.from})`;
}

function gpuLines({ gpus, gpuNote, cuda }: DoctorReport): [string, string][] {
  if (gpus.length === 0) return [['gpu', gpuNote]];
  return gpus.map((gpu, i) => ['gpu', `${describeGpu(gpu)}; ${describeService(cuda.cards[i]!)}`]);
}

function describeGpu(gpu: GpuInfo): string {
  const capability = gpu.computeCapability
    ? `compute capability ${gpu.computeCapability}`
    : 'capability unknown';
  return `${gpu.name}, ${capability}, driver ${gpu.driver ?? 'unknown'}`;
}

async function versionOf(command: string, args: string[]): Promise<string | null> {
  const result = await runCommand(command, args, { timeoutMs: 10_000 });
  return result.status === 0 ? (result.stdout || result.stderr).split('\n')[0]!.trim() : null;
}

function packageVersion(): string {
  const manifest = createRequire(import.meta.url)(join(packageRoot(), 'package.json')) as { version: string };
  return manifest.version;
}
