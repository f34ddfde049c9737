// SPDX-License-Identifier: Apache-2.0
// Everything that can be checked of the CUDA kernels on this machine's GPU: `npm run test:cuda`.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../src/engine/paths.js';
import { lastLine, runCommand } from '../src/engine/process.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { type CudaDevice, findGpu, provideCuda, provideForeignCuda } from './native/cuda.js';

const USAGE = `Checks the CUDA kernels.

  npm run test:cuda [-- options]

Compiles them for this machine's GPU, then: random shapes of all types and forms against the definition in double
precision, values that are not finite, refused arguments, golden vectors, a build without code for the card, and
\`npm run parity -- DIR msda --path cuda\`.

  --sanitizer TOOL  instead, the same program under compute-sanitizer: memcheck, racecheck, initcheck or synccheck
  --stand-in        on the CPU in the place of the GPU
  --help

Exit code: 0 = all is well, 1 = a check failed, 5 = no GPU, no nvcc or no compute-sanitizer.
`;

const SANITIZERS = ['memcheck', 'racecheck', 'initcheck', 'synccheck'];

/** One check by its name; what it says is passed on where it fails. */
type Check = [name: string, program: string, ...args: string[]];

async function main(): Promise<number> {
  const { values } = parse();
  if (values.help) {
    process.stdout.write(USAGE);
    return EXIT_CODES.ok;
  }
  const device: CudaDevice = values['stand-in'] ? 'stand-in' : 'gpu';
  const checks = values.sanitizer ? [await sanitized(values.sanitizer, device)] : await allChecks(device);
  let failed = 0;
  for (const [name, program, ...args] of checks) {
    const start = performance.now();
    const { status, stdout, stderr } = await runCommand(program, args, { cwd: packageRoot() });
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const count = stdout.match(/^ok /gm)?.length ?? 0;
    const passed = status === 0 && count > 0;
    if (!passed) failed += 1;
    const note = passed
      ? `${count} checks`
      : `exit status ${status}: ${lastLine(stderr) || lastLine(stdout)}`;
    process.stdout.write(
      `${passed ? 'ok  ' : 'FAIL'}  ${name.padEnd(34)} ${seconds.padStart(6)} s  ${note}\n`,
    );
    if (!passed) process.stdout.write(`${stdout.replace(/^ok .*\n/gm, '')}${stderr}`);
  }
  process.stdout.write(`${checks.length - failed} of ${checks.length} passed\n`);
  return failed === 0 ? EXIT_CODES.ok : EXIT_CODES.internal;
}

async function allChecks(device: CudaDevice): Promise<Check[]> {
  const { check, selfTest } = await provideCuda(device);
  const beside = join(packageRoot(), '..', 'shared', 'fixtures');
  const fixtures = existsSync(join(beside, 'msda')) ? beside : join(packageRoot(), 'test', 'fixtures');
  const path = device === 'gpu' ? 'cuda' : 'cuda-shim';
  const tsx = createRequire(import.meta.url).resolve('tsx');
  const parity = ['--import', tsx, join(packageRoot(), 'tools/parity.ts'), fixtures, 'msda', '--path', path];
  return [
    ...(selfTest ? [['the stand-in itself', selfTest] satisfies Check] : []),
    ['random shapes, refusals', check, 'check'],
    ['golden vectors', check, 'fixtures', fixtures],
    // On the CPU the first check tries this, too.
    ...(device === 'gpu'
      ? [['a build for other cards', await provideForeignCuda(), 'missing'] satisfies Check]
      : []),
    [`parity --path ${path}`, process.execPath, ...parity],
  ];
}

async function sanitized(tool: string, device: CudaDevice): Promise<Check> {
  if (!SANITIZERS.includes(tool)) {
    throw new UserError(`--sanitizer: there is no "${tool}". There are: ${SANITIZERS.join(', ')}`);
  }
  if (device !== 'gpu')
    throw new UserError('--sanitizer needs a GPU; the stand-in looks after races by itself');
  const { nvcc } = await findGpu();
  const beside = nvcc.includes('/') ? join(nvcc, '..', 'compute-sanitizer') : '';
  const candidates = ['compute-sanitizer', beside, '/usr/local/cuda/bin/compute-sanitizer'];
  for (const program of candidates.filter((name) => name !== '')) {
    if ((await runCommand(program, ['--version'])).status !== 0) continue;
    const { check } = await provideCuda(device);
    return [`${tool}, random shapes`, program, '--tool', tool, '--error-exitcode', '9', check, 'check'];
  }
  throw new UserError('there is no compute-sanitizer; it comes with CUDA', EXIT_CODES.engine);
}

function parse() {
  try {
    return parseArgs({
      options: {
        sanitizer: { type: 'string' },
        'stand-in': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UserError(`${(error as Error).message}. See --help.`);
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const known = error instanceof UserError;
    process.stderr.write(`${known ? error.message : (error as Error).stack}\n`);
    process.exitCode = known ? error.exitCode : EXIT_CODES.internal;
  },
);
