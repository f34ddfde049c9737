// SPDX-License-Identifier: Apache-2.0
// What `ptxas -v` says of each kernel, and the table of it.

/** One kernel compiled for one architecture. */
export interface KernelResources {
  /** As the source names it, without arguments and namespaces. */
  kernel: string;
  /** "sm_90" */
  architecture: string;
  registers: number;
  /** Statically allocated, in bytes, as are the rest. */
  sharedBytes: number;
  spillStoreBytes: number;
  spillLoadBytes: number;
}

const ENTRY = /Compiling entry function '([^']+)' for '([^']+)'/;
const SPILLS = /(\d+) bytes spill stores, (\d+) bytes spill loads/;
const USED = /Used (\d+) registers/;
const SHARED = /(\d+) bytes smem/;

/** Reads nvcc's output with `-Xptxas -v`. Functions that are no kernels have lines of their own, which are left out. */
export function parsePtxas(log: string): KernelResources[] {
  const found: KernelResources[] = [];
  let current: KernelResources | null = null;
  for (const line of log.split('\n')) {
    const entry = ENTRY.exec(line);
    if (entry) {
      current = {
        ...{ kernel: entry[1]!, architecture: entry[2]! },
        ...{ registers: Number.NaN, sharedBytes: 0, spillStoreBytes: 0, spillLoadBytes: 0 },
      };
      found.push(current);
      continue;
    }
    if (current === null) continue;
    const spills = SPILLS.exec(line);
    if (spills) [current.spillStoreBytes, current.spillLoadBytes] = [Number(spills[1]), Number(spills[2])];
    const used = USED.exec(line);
    if (!used) continue;
    current.registers = Number(used[1]);
    current.sharedBytes = Number(SHARED.exec(line)?.[1] ?? 0);
    // What follows until the next kernel is of other functions.
    current = null;
  }
  return found;
}

/** "ForwardKernel<float, 4, 8>" for a demangled function. */
export function shortName(demangled: string): string {
  const name = demangled.replaceAll('(anonymous namespace)::', '').replace(/^void /, '');
  const end = name.indexOf('(');
  return (end < 0 ? name : name.slice(0, end)).replace(/^(\w+::)+/, '');
}

export const spills = ({ spillStoreBytes, spillLoadBytes }: KernelResources): boolean =>
  spillStoreBytes + spillLoadBytes > 0;

/** Whether a kernel's first template argument is float: its values, that is. */
export const isFloat32 = ({ kernel }: KernelResources): boolean => /<float\b/.test(kernel);

export const isForward = ({ kernel }: KernelResources): boolean => /forward/i.test(kernel);

/** One row for each kernel, one column for each architecture. */
export function resourceTable(all: readonly KernelResources[]): string {
  const architectures = [...new Set(all.map(({ architecture }) => architecture))];
  const kernels = [...new Set(all.map(({ kernel }) => kernel))].sort();
  const cell = (kernel: string, architecture: string): string => {
    const one = all.find((entry) => entry.kernel === kernel && entry.architecture === architecture);
    if (!one) return '';
    const shared = one.sharedBytes > 0 ? `, ${one.sharedBytes} shared` : '';
    const spilled = spills(one) ? `, **spills ${one.spillStoreBytes} + ${one.spillLoadBytes}**` : '';
    return `${one.registers}${shared}${spilled}`;
  };
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(['kernel', ...architectures]),
    `|${'---|'.repeat(architectures.length + 1)}`,
    ...kernels.map((kernel) => line([`\`${kernel}\``, ...architectures.map((name) => cell(kernel, name))])),
  ].join('\n');
}
