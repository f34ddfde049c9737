// SPDX-License-Identifier: Apache-2.0
// The CPU kernels under sanitizers: `npm run test:sanitize`.
import { parseArgs } from 'node:util';
import { EXIT_CODES, UserError } from '../src/errors.js';
import {
  type Checked,
  checkedKernels,
  isasOf,
  provideCheck,
  runChecks,
  type Variant,
} from './native/kernel_programs.js';

const USAGE = `Runs the checks of the CPU kernels (csrc/dev) under sanitizers, with every instruction set of this processor.

  npm run test:sanitize [-- options] [OP ...]

asan: stray accesses, leaks and undefined behaviour. tsan: data races. The first run compiles for some minutes.

  --only asan|tsan
  --help

Exit code: 0 = nothing found, 1 = something was found, 2 = no such option or operator, 5 = no compiler.
`;

const SANITIZERS: readonly Variant[] = ['asan', 'tsan'];

interface Row {
  op: string;
  sanitizer: Variant;
  isa: string;
  /** Null where the processor lacks the instruction set. */
  checked: Checked | null;
  seconds: number;
}

async function main(): Promise<number> {
  const { ops, sanitizers, help } = parse();
  if (help) {
    process.stdout.write(USAGE);
    return EXIT_CODES.ok;
  }
  const rows: Row[] = [];
  for (const sanitizer of sanitizers) {
    for (const op of ops) {
      const program = await provideCheck(op, sanitizer);
      for (const isa of isasOf(op)) {
        const start = performance.now();
        const checked = await runChecks(program, isa);
        const row = { op, sanitizer, isa, checked, seconds: (performance.now() - start) / 1000 };
        rows.push(row);
        process.stdout.write(`${checked?.wrong.map((line) => `${op}: ${line}\n`).join('') ?? ''}`);
      }
    }
  }
  const found = rows.filter(({ checked }) => checked !== null && checked.wrong.length > 0).length;
  const run = rows.filter(({ checked }) => checked !== null).length;
  process.stdout.write(`${rows.map(lineOf).join('\n')}\n${run - found} of ${run} found nothing\n`);
  return found === 0 && run > 0 ? EXIT_CODES.ok : EXIT_CODES.internal;
}

function lineOf({ op, sanitizer, isa, checked, seconds }: Row): string {
  const name = `${sanitizer}  ${op.padEnd(18)} ${isa.padEnd(8)}`;
  if (checked === null) return `----  ${name}           left out: this processor lacks it`;
  const wrong = checked.wrong.length;
  const note = wrong === 0 ? `${checked.right} checks` : `${wrong} lines of complaint, above`;
  return `${wrong === 0 ? 'ok  ' : 'FAIL'}  ${name} ${seconds.toFixed(1).padStart(6)} s  ${note}`;
}

function parse(): { ops: string[]; sanitizers: readonly Variant[]; help: boolean } {
  const known = checkedKernels();
  try {
    const { values, positionals } = parseArgs({
      options: { only: { type: 'string' }, help: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const only = SANITIZERS.filter((name) => values.only === undefined || values.only === name);
    if (only.length === 0) throw new Error(`--only is ${SANITIZERS.join(' or ')}, not ${values.only}`);
    for (const op of positionals) {
      if (!known.includes(op))
        throw new Error(`there is no program for ${op}; there are ${known.join(', ')}`);
    }
    return { ops: positionals.length > 0 ? positionals : known, sanitizers: only, help: values.help };
  } catch (error) {
    throw new UserError((error as Error).message, EXIT_CODES.usage);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = error.exitCode;
}
