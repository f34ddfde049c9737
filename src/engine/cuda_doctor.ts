// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { findNvcc } from './cuda_build.js';
import { architectureOf, type Service, serviceOf } from './cuda_targets.js';
import type { GpuInfo } from './hardware.js';
import { CUDA_LIBRARY_SETTING, loadLoader } from './load.js';
import { findPart } from './native_parts.js';

/** How a card is served. */
export interface CardReport {
  name: string;
  /** "sm_121"; null if the driver does not say. */
  architecture: string | null;
  /** By machine code, by code that the driver translates first, or not at all; null if it cannot be told. */
  service: Service | null;
}

/** The CUDA library as {@link doctor} finds it. */
export interface CudaReport {
  path: string | null;
  from: 'prebuilt' | 'cache' | 'built' | 'TFGEO_CUDA_LIBRARY' | null;
  /** The GPU code inside, as the library itself says. */
  targets: string[];
  /** Why there is none, or why it does not open; empty when all is well. */
  reason: string;
  cards: CardReport[];
  nvcc: { path: string; release: string } | null;
  /** What gives the cards here what they lack; null when nothing lacks. */
  fix: { why: string; command: string } | null;
}

/** Looks for the CUDA library, asks it for its targets and compares them with the cards. */
export async function inspectCuda(gpus: readonly GpuInfo[]): Promise<CudaReport> {
  const nvcc = await findNvcc();
  const library = findLibrary();
  const cards = gpus.map(({ name, computeCapability }): CardReport => {
    const architecture = computeCapability === null ? null : architectureOf(computeCapability);
    const service = computeCapability === null ? null : serviceOf(library.targets, computeCapability);
    return { name, architecture, service };
  });
  const report = { ...library, cards, nvcc: nvcc && { path: nvcc.path, release: nvcc.release } };
  return { ...report, fix: fixOf(report) };
}

type Library = Pick<CudaReport, 'path' | 'from' | 'targets' | 'reason'>;

function findLibrary(): Library {
  const { found, reason } = findPart('cuda', null);
  const named = process.env[CUDA_LIBRARY_SETTING];
  // The engine has put the package's own into the environment.
  if (named && named !== found?.path) return askLibrary(resolve(named), CUDA_LIBRARY_SETTING, []);
  if (found === null) return { path: null, from: null, targets: [], reason: `not compiled yet (${reason})` };
  return askLibrary(found.path, found.from, found.targets ?? []);
}

/** @param noted targets that the build noted, where the library cannot be asked */
function askLibrary(path: string, from: CudaReport['from'], noted: string[]): Library {
  if (!existsSync(path)) return { path: null, from, targets: [], reason: `there is no ${path}` };
  const addon = findPart('addon', null).found;
  if (addon === null) return { path, from, targets: noted, reason: '' };
  try {
    const text = loadLoader(addon).libraryText(path, 'tfgeo_cuda_targets');
    if (text !== null) return { path, from, targets: text.split(' '), reason: '' };
    return { path: null, from, targets: [], reason: `${path} is not a CUDA library of tfgeo` };
  } catch (error) {
    return { path: null, from, targets: [], reason: (error as Error).message };
  }
}

function fixOf({ path, from, cards, nvcc }: Omit<CudaReport, 'fix'>): CudaReport['fix'] {
  const unserved = cards.filter(({ service }) => service === 'none');
  if (unserved.length === 0) return null;
  if (from === CUDA_LIBRARY_SETTING) {
    return {
      why: `the library that ${CUDA_LIBRARY_SETTING} names does not serve the GPU`,
      command: `unset ${CUDA_LIBRARY_SETTING}`,
    };
  }
  if (nvcc === null) {
    return {
      why: "the GPU kernels have to be compiled, with nvcc of NVIDIA's CUDA toolkit",
      command: 'sudo apt-get install cuda-toolkit',
    };
  }
  const build = 'npx tfgeo-train setup --cuda';
  if (path === null) return { why: 'the GPU kernels have to be compiled', command: build };
  const architectures = [...new Set(unserved.map(({ architecture }) => architecture))].join(',');
  return {
    why: `there is no code for ${architectures}`,
    command: `TFGEO_CUDA_TARGETS=${architectures} ${build}`,
  };
}

/** The library in a line. */
export function describeCudaLibrary({ path, from, targets, reason }: CudaReport): string {
  return path === null ? `none: ${reason}` : `${path} (${from}): ${targets.join(', ')}`;
}

/** How a card is served, in a phrase. */
export function describeService({ architecture, service }: CardReport): string {
  if (service === 'SASS') return `served by machine code for ${architecture}`;
  if (service === 'PTX') return `served by PTX, which the driver translates to ${architecture} at first use`;
  return service === 'none' ? `not served: no code for ${architecture}` : 'unknown architecture';
}
