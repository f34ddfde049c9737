// SPDX-License-Identifier: Apache-2.0
/**
 * Exports detectors and has Python's TensorFlow load and run them: `npm run test:oracle`.
 *
 *   npm run test:oracle [-- FOLDER...] [--json FILE]   FOLDER: SavedModels to check instead of fresh exports
 *
 * Python's TensorFlow comes with the user's pip into a virtual environment in the cache, once; TFGEO_ORACLE_PYTHON names
 * a Python that has it. The last line is "N passed, N failed".
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { currentEngine, ready } from '../src/engine/index.js';
import { UserError } from '../src/errors.js';
import { exportModel } from '../src/export/index.js';
import { exportCases } from './oracle/cases.js';
import { pythonWith } from './python_environment.js';

const TENSORFLOW = '2.21.0';
const PACKAGE = process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'oracle', 'saved_model.py');

interface Result {
  name: string;
  passed: boolean;
  detail: string;
}

const say = (line: string) => console.error(`tfgeo: ${line}`);

/** A Python with TensorFlow in the cache. @throws UserError in one line where it cannot be had */
async function provided(): Promise<string> {
  try {
    return await pythonWith(`oracle-tensorflow-${TENSORFLOW}`, [`${PACKAGE}==${TENSORFLOW}`], say);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${error.message}; name a Python that has TensorFlow with TFGEO_ORACLE_PYTHON`);
  }
}

/** Checks SavedModels in Python. @param library of operators, for native ones */
async function check(python: string, folders: readonly string[], library?: string): Promise<Result[]> {
  const args = [SCRIPT, ...(library ? ['--ops', library] : []), ...folders];
  const { stdout } = await promisify(execFile)(python, args, { maxBuffer: 1 << 26 });
  return stdout
    .trim()
    .split('\n')
    .slice(-folders.length)
    .map((line) => JSON.parse(line) as Result);
}

/** The library of operators, if this machine's is for the TensorFlow in question. */
function opLibrary(): string | null {
  const { version, opLibrary: library } = currentEngine()!.tensorflow!;
  return version === TENSORFLOW ? library.path : null;
}

async function checkFresh(python: string): Promise<Result[]> {
  const root = mkdtempSync(join(tmpdir(), 'tfgeo-oracle-'));
  const folders = { portable: [] as string[], native: [] as string[] };
  try {
    await ready({ engine: 'tensorflow' });
    const library = opLibrary();
    for (const { name, load, options } of exportCases()) {
      const ops = options.ops ?? 'portable';
      if (ops === 'native' && library === null) {
        console.log(`left out: ${name}, because the operators here are not for TensorFlow ${TENSORFLOW}`);
        continue;
      }
      const folder = join(root, name);
      const source = await load();
      await exportModel(source, folder, options).finally(() => source.dispose());
      folders[ops].push(folder);
    }
    const results = await check(python, folders.portable);
    if (library !== null) results.push(...(await check(python, folders.native, library)));
    return results.map((result) => ({ ...result, name: basename(result.name) }));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' } },
});
const results: Result[] = [];
const report = (result: Result) => {
  results.push(result);
  console.log(`${result.passed ? 'ok    ' : 'FAILED'} ${result.name}: ${result.detail}`);
};
try {
  const python = process.env.TFGEO_ORACLE_PYTHON || (await provided());
  const folders = positionals.map((folder) => resolve(folder));
  for (const result of folders.length > 0 ? await check(python, folders) : await checkFresh(python))
    report(result);
} catch (error) {
  report({
    name: 'run',
    passed: false,
    detail: error instanceof UserError ? error.message : String((error as Error).stack),
  });
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
const failed = results.filter(({ passed }) => !passed).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
if (failed > 0 || results.length === 0) process.exitCode = 1;
