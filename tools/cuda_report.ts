// SPDX-License-Identifier: Apache-2.0
// Registers, shared memory and spills of every CUDA kernel, written to docs/cuda_resources.md: `npm run cuda:report`.
// Compiles the CUDA library, or takes the one that was compiled from the same sources.
//
//   npm run cuda:report [-- --check]     --check: writes nothing, and fails where the file is not up to date
//
// Exit code: 0 = done, 1 = a float32 forward kernel spills or the file is out of date, 5 = it cannot be compiled.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildCuda, findNvcc, PTXAS_LOG } from '../src/engine/cuda_build.js';
import { CUDA_TARGETS } from '../src/engine/cuda_targets.js';
import { runCommand } from '../src/engine/process.js';
import { sayOnStderr } from '../src/engine/setup.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { writeFileAtomicSync } from '../src/files.js';
import { packageRoot } from '../src/package.js';
import {
  isFloat32,
  isForward,
  type KernelResources,
  parsePtxas,
  resourceTable,
  shortName,
  spills,
} from './native/ptxas.js';

const DOCUMENT = 'docs/cuda_resources.md';

async function readable(names: readonly string[]): Promise<Map<string, string>> {
  for (const tool of ['cu++filt', 'c++filt']) {
    const { status, stdout } = await runCommand(tool, names);
    const lines = stdout.trim().split('\n');
    if (status === 0 && lines.length === names.length)
      return new Map(names.map((name, i) => [name, shortName(lines[i]!)]));
  }
  throw new UserError('names of kernels cannot be read without c++filt; install binutils', EXIT_CODES.engine);
}

async function collect(): Promise<{ resources: KernelResources[]; release: string }> {
  const nvcc = await findNvcc();
  const built = await buildCuda(sayOnStderr);
  const log = join(dirname(built.path), PTXAS_LOG);
  if (nvcc === null || !existsSync(log))
    throw new UserError('the CUDA library must be compiled here, and there is no nvcc', EXIT_CODES.engine);
  const resources = parsePtxas(readFileSync(log, 'utf8'));
  if (resources.length === 0) throw new Error(`${log} names no kernel`);
  const names = await readable([...new Set(resources.map(({ kernel }) => kernel))]);
  return {
    resources: resources.map((entry) => ({ ...entry, kernel: names.get(entry.kernel)! })),
    release: nvcc.release,
  };
}

function documentOf(resources: readonly KernelResources[], release: string): string {
  const kernels = new Set(resources.map(({ kernel }) => kernel)).size;
  return `# CUDA kernels: registers and memory

Written by \`npm run cuda:report\` from what nvcc ${release} says. Targets of the library: ${CUDA_TARGETS.join(', ')}; PTX has no
registers yet. A cell is registers a thread, then bytes of static shared memory and bytes that are spilled (stores + loads),
where there are any. CI fails when a float32 forward kernel spills.

${kernels} kernels, ${resources.length} compilations; ${summaryOf(resources)}.

${resourceTable(resources)}
`;
}

function summaryOf(resources: readonly KernelResources[]): string {
  const spilling = resources.filter(spills);
  if (spilling.length === 0) return 'none spills';
  return `${spilling.length} spill, ${spilling.filter(isFloat32).length} of them float32`;
}

async function main(): Promise<number> {
  const check = process.argv.includes('--check');
  const { resources, release } = await collect();
  for (const entry of resources.filter((one) => spills(one) && isFloat32(one))) {
    const { kernel, architecture, spillStoreBytes, spillLoadBytes } = entry;
    console.log(
      `${kernel} for ${architecture} spills: ${spillStoreBytes} bytes stored, ${spillLoadBytes} loaded`,
    );
  }
  const bad = resources.filter((entry) => spills(entry) && isFloat32(entry) && isForward(entry));
  if (bad.length > 0) console.log(`FAILED: ${bad.length} float32 forward compilations spill`);
  const text = documentOf(resources, release);
  const path = join(packageRoot(), DOCUMENT);
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  // Another compiler gives other numbers; its table is no better.
  const comparable = old === '' || old.includes(`nvcc ${release} `);
  const stale = old !== text && comparable;
  if (check && stale) console.log(`FAILED: ${DOCUMENT} is out of date; run \`npm run cuda:report\``);
  if (!check) writeFileAtomicSync(path, text);
  console.log(`${resources.length} compilations of kernels by nvcc ${release}`);
  return bad.length > 0 || (check && stale) ? EXIT_CODES.internal : EXIT_CODES.ok;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`tfgeo: ${error.message}`);
  process.exitCode = error.exitCode;
}
