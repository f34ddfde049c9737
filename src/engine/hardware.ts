// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { runCommand } from './process.js';

export interface CpuInfo {
  model: string;
  cores: number;
  memoryBytes: number;
  /** Vector instructions that kernels choose by. */
  features: string[];
}

export interface GpuInfo {
  name: string;
  /** "12.1" for sm_121; null if the driver does not say. */
  computeCapability: string | null;
  driver: string | null;
  memoryMiB: number | null;
}

/** Names in /proc/cpuinfo that matter to kernels, and what they are called in messages. */
const FEATURES: Record<string, string> = {
  sse4_2: 'SSE4.2',
  avx: 'AVX',
  avx2: 'AVX2',
  fma: 'FMA',
  avx512f: 'AVX-512',
  avx512_vnni: 'AVX-512 VNNI',
  avx512_bf16: 'AVX-512 BF16',
  avx512_fp16: 'AVX-512 FP16',
  amx_tile: 'AMX',
  asimd: 'NEON',
  asimdhp: 'NEON FP16',
  asimddp: 'NEON dot product',
  sve: 'SVE',
  sve2: 'SVE2',
  bf16: 'BF16',
  i8mm: 'I8MM',
};

export function cpuInfo(): CpuInfo {
  const all = cpus();
  return {
    model: all[0]?.model.trim() || 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    features: cpuFeatures(readIfThere('/proc/cpuinfo'), process.arch),
  };
}

/**
 * Features named in the text of /proc/cpuinfo: "flags" on x86, "Features" on ARM. Under emulation the text may be that of
 * the machine around.
 */
export function cpuFeatures(cpuinfo: string, arch: string): string[] {
  const pattern = arch === 'x64' ? /^flags\s*:\s*(.*)$/m : /^Features\s*:\s*(.*)$/m;
  const line = pattern.exec(cpuinfo)?.[1] ?? '';
  const flags = new Set(line.split(' '));
  return Object.entries(FEATURES)
    .filter(([flag]) => flags.has(flag))
    .map(([, name]) => name);
}

/** NVIDIA GPUs as the driver's tool tells them, and a note where there is nothing to ask. */
export async function gpuInfo(): Promise<{ gpus: GpuInfo[]; note: string }> {
  const fields = 'name,compute_cap,driver_version,memory.total';
  const result = await runCommand('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'], {
    timeoutMs: 10_000,
  });
  if (result.status === 0) {
    const gpus = parseNvidiaSmi(result.stdout);
    return { gpus, note: gpus.length > 0 ? 'by nvidia-smi' : 'nvidia-smi lists none' };
  }
  if (existsSync('/proc/driver/nvidia/version')) {
    return { gpus: [], note: 'an NVIDIA driver is loaded, but nvidia-smi does not work' };
  }
  return { gpus: [], note: 'none: no NVIDIA driver' };
}

/** Lines of `nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader,nounits`. */
export function parseNvidiaSmi(text: string): GpuInfo[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length >= 4)
    .map(([name, capability, driver, memory]) => ({
      name: name!,
      computeCapability: /^\d+\.\d+$/.test(capability!) ? capability! : null,
      driver: driver!.startsWith('[') ? null : driver!,
      // Machines whose GPU shares the memory (GB10) answer "[N/A]".
      memoryMiB: /^\d+$/.test(memory!) ? Number(memory) : null,
    }));
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
