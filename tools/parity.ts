// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { withMeasured } from '../bench/results.js';
import { hasNativeOps, ready } from '../src/engine/index.js';
import { didYouMean, EXIT_CODES, UserError } from '../src/errors.js';
import { writeFileAtomicSync } from '../src/files.js';
import { packageRoot } from '../src/package.js';
import { kindOf, OP_PATHS, PROCESS_PATHS, runnerFor } from './parity/kinds.js';
import { readAreas } from './parity/manifest.js';
import { runInProcess } from './parity/paths.js';
import { caseLine, parityTable, totalLine } from './parity/report.js';
import { kindNames, runAreas } from './parity/runner.js';
import type { CaseResult, ParityArea } from './parity/types.js';

const USAGE = `Compares the library with golden vectors.

  npm run parity -- [DIR [AREA ...]] [options]

DIR is a folder whose subfolders (or which itself) hold a manifest.json; default: shared/fixtures beside the
repository, or else test/fixtures, the part of it that lies in the repository.

  --kinds a,b        only cases of these kinds, written KIND or AREA/KIND (default: all; a kind that is
                     not known fails)
  --known            leave out cases of kinds that are not known, and say how many
  --path a,b         only these paths through the library where a kind has several (default: native and plain):
                       native    the operators' kernels, in the best form for this processor
                       plain     their meaning in TensorFlow.js operations
                     and, for deformable attention, each in a process of its own:
                       portable, avx2, avx512    kernels for that instruction set
                       neon      kernels for aarch64, emulated elsewhere
                       cuda      CUDA kernels on this machine's GPU
                       cuda-shim CUDA kernels on the CPU
  --compiled         compile what the library does to one TensorFlow operation; cases without anything to
                     compile are left out
  --json FILE        write all results
  --write            run everything twice, operation by operation and compiled, and write the table of
                     docs/parity.md; needs all areas and kinds
  --help

Exit code: 0 = every case within tolerance, 1 = a case failed or none ran, 2 and above = see docs/cli.md.
`;

async function main(): Promise<number> {
  const { values, positionals } = parse();
  const [dir = defaultFolder(), ...areas] = positionals;
  if (values.help) {
    process.stdout.write(USAGE);
    return EXIT_CODES.ok;
  }
  if (values.write && (areas.length > 0 || values.kinds || values.path || values.compiled)) {
    throw new UserError('--write shows everything: leave out areas, --kinds, --path and --compiled');
  }
  const all = readAreas(dir, areas);
  const found = values.known ? all.map(knownPart) : all;
  const kinds = list(values.kinds);
  const paths = list(values.path);
  const known = found.flatMap((area) => area.cases.flatMap((entry) => kindNames(area, entry)));
  checkNames('--kinds', kinds, [...new Set(known)]);
  checkNames('--path', paths, [...OP_PATHS, ...PROCESS_PATHS]);
  await ready();
  const options = {
    ...(kinds ? { kinds } : {}),
    compiled: values.compiled,
    onResult: (result: CaseResult) => process.stdout.write(`${caseLine(result)}\n`),
  };
  const ownPaths = paths?.filter((path) => OP_PATHS.includes(path));
  const runHere = ownPaths === undefined || ownPaths.length > 0;
  const results = runHere ? await runAreas(found, { ...options, ...(paths ? { paths: ownPaths } : {}) }) : [];
  for (const path of paths ?? []) {
    if (PROCESS_PATHS.includes(path)) results.push(...(await runInProcess(dir, found, path, options)));
  }
  const compiled = values.write ? await runAreas(found, { ...options, compiled: true }) : [];
  const engine = tf.getBackend();
  if (!hasNativeOps()) process.stdout.write(`native paths left out: engine ${engine} has no op library\n`);
  const count = (list: readonly ParityArea[]) => list.reduce((sum, { cases }) => sum + cases.length, 0);
  if (values.known) process.stdout.write(`left out: ${count(all) - count(found)} cases of unknown kinds\n`);
  const both = [...results, ...compiled];
  process.stdout.write(`${totalLine(both, engine)}\n`);
  if (values.json) write(values.json, `${JSON.stringify(both, null, 1)}\n`);
  if (values.write) writeDocument(parityTable(results, compiled, engine));
  return both.length > 0 && both.every(({ passed }) => passed) ? EXIT_CODES.ok : EXIT_CODES.internal;
}

/** Golden vectors beside the repository, or its own. */
function defaultFolder(): string {
  const root = packageRoot();
  const shared = join(root, '..', 'shared', 'fixtures');
  return existsSync(shared) ? shared : join(root, 'test', 'fixtures');
}

function writeDocument(table: string): void {
  const path = join(packageRoot(), 'docs', 'parity.md');
  writeFileAtomicSync(path, withMeasured(readFileSync(path, 'utf8'), 'parity', table));
}

/** The cases of an area whose kinds are known. */
function knownPart(area: ParityArea): ParityArea {
  return { ...area, cases: area.cases.filter((entry) => runnerFor(area, kindOf(entry)) !== null) };
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        kinds: { type: 'string' },
        known: { type: 'boolean', default: false },
        path: { type: 'string' },
        compiled: { type: 'boolean', default: false },
        json: { type: 'string' },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UserError(`${(error as Error).message}. See --help.`);
  }
}

function list(text: string | undefined): string[] | undefined {
  return text?.split(',').map((part) => part.trim());
}

/** A name that fits nothing would quietly leave cases out. */
function checkNames(flag: string, names: readonly string[] | undefined, known: readonly string[]): void {
  for (const name of names ?? []) {
    if (known.includes(name)) continue;
    const near = didYouMean(name, known);
    throw new UserError(
      `${flag}: there is no "${name}"${near ? `, did you mean "${near}"?` : ''} There are: ${known.join(', ')}`,
    );
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
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
