// SPDX-License-Identifier: Apache-2.0
// Cross-builds addon, operators and kernels for aarch64 and runs them under qemu-user with the real Node, TensorFlow and
// sharp for aarch64 (natively on an aarch64 machine): `npm run test:aarch64`.
//
//   npm run test:aarch64 [-- --only PATTERN] [--json FILE]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeAtomically } from '../src/engine/cache.js';
import { setup } from '../src/engine/setup.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { type Bench, CHECKS, kernelChecks } from './aarch64/checks.js';
import { hostMachine, IS_NATIVE, provideMachine } from './aarch64/machine.js';

interface Row {
  name: string;
  passed: boolean;
  seconds: number;
  note: string;
}

const rows: Row[] = [];

function report(row: Row): void {
  rows.push(row);
  const state = row.passed ? 'ok    ' : 'FAILED';
  console.log(`${state}  ${row.name.padEnd(30)}${row.seconds.toFixed(1).padStart(7)} s  ${row.note}`);
}

const said: string[] = [];
const say = (line: string) => {
  said.push(line);
};

/** Runs one step and reports it; @returns what it gives, or null where it failed. */
async function step<T>(
  name: string,
  work: () => Promise<T>,
  noteOf: (result: T) => string,
): Promise<T | null> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  try {
    const result = await work();
    report({ name, passed: true, seconds: seconds(), note: noteOf(result) });
    return result;
  } catch (error) {
    const known = error instanceof UserError || (error as Error).name === 'Error';
    report({ name, passed: false, seconds: seconds(), note: (error as Error).message });
    if (!known) console.error((error as Error).stack);
    return null;
  }
}

/** What was fetched or compiled since the last call. */
const newlyMade = () => said.splice(0).join('; ');

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'string' } } });
  const only = new RegExp(values.only ?? '');
  const scratch = mkdtempSync(join(tmpdir(), 'tfgeo-aarch64-'));
  try {
    const machine = await step('machine', () => provideMachine(say), newlyMade);
    if (machine === null) return;
    if (!IS_NATIVE) await step('this machine, for comparison', () => setup({ say }), newlyMade);
    const bench: Bench = { machine, reference: IS_NATIVE ? null : hostMachine(), scratch };
    const kernels = await step('kernels, statically linked', () => kernelChecks(machine, say), newlyMade);
    for (const [name, check] of Object.entries({ ...kernels, ...CHECKS })) {
      if (only.test(name))
        await step(
          name,
          () => check(bench),
          (note) => note,
        );
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    if (values.json) writeAtomically(values.json, `${JSON.stringify(rows, null, 1)}\n`);
  }
}

try {
  await main();
} catch (error) {
  console.error((error as Error).stack);
  rows.push({ name: 'the program itself', passed: false, seconds: 0, note: (error as Error).message });
}
const failed = rows.filter(({ passed }) => !passed).length;
const total = rows.reduce((sum, { seconds }) => sum + seconds, 0);
const how = IS_NATIVE ? 'natively' : 'emulated';
console.log(`aarch64, ${how}, ${total.toFixed(0)} s: ${rows.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? EXIT_CODES.internal : EXIT_CODES.ok;
