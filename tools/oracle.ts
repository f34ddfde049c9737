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
import { ready } from '../src/engine/index.js';
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

/** Checks SavedModels in Python. */
async function check(python: string, folders: readonly string[]): Promise<Result[]> {
  const { stdout } = await promisify(execFile)(python, [SCRIPT, ...folders], { maxBuffer: 1 << 26 });
  return stdout
    .trim()
    .split('\n')
    .slice(-folders.length)
    .map((line) => JSON.parse(line) as Result);
}

async function checkFresh(python: string): Promise<Result[]> {
  const root = mkdtempSync(join(tmpdir(), 'tfgeo-oracle-'));
  const folders: string[] = [];
  try {
    await ready({ engine: 'tensorflow' });
    for (const { name, load, options } of exportCases()) {
      const folder = join(root, name);
      const source = await load();
      try {
        await exportModel(source, folder, options);
      } finally {
        source.dispose();
      }
      folders.push(folder);
    }
    return (await check(python, folders)).map((result) => ({ ...result, name: basename(result.name) }));
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
  const given = process.env.TFGEO_ORACLE_PYTHON;
  const python =
    given || (await pythonWith(`oracle-tensorflow-${TENSORFLOW}`, [`${PACKAGE}==${TENSORFLOW}`], say));
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
