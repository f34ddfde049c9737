// SPDX-License-Identifier: Apache-2.0
/**
 * Has Python's programs use what is written here: `npm run test:oracle`. TensorFlow loads and runs exported detectors; Hugging Face
 * transformers and torchvision load saved weights and answer as our models do.
 *
 *   npm run test:oracle [-- FOLDER...] [--only saved-models|huggingface|torchvision] [--json FILE]   FOLDER: SavedModels to check instead
 *
 * Python's packages come with the user's pip into virtual environments in the cache, once; TFGEO_ORACLE_PYTHON names a Python
 * with TensorFlow, TFGEO_ORACLE_TORCH one with PyTorch and transformers. The last line is "N passed, N failed".
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { currentEngine, ready } from '../src/engine/index.js';
import { UserError } from '../src/errors.js';
import { exportModel } from '../src/export/index.js';
import { type Answer, askPython } from './oracle/answers.js';
import { exportCases } from './oracle/cases.js';
import type { WeightsCase } from './oracle/examples.js';
import { HUGGING_FACE_CASES } from './oracle/huggingface_cases.js';
import { TORCHVISION_CASES } from './oracle/torchvision_cases.js';
import {
  packagesBeside,
  pythonWith,
  pythonWithTorch,
  TORCHVISION,
  TRANSFORMERS,
} from './python_environment.js';

const TENSORFLOW = '2.21.0';
const PACKAGE = process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';

const PARTS = ['saved-models', 'huggingface', 'torchvision'] as const;

const say = (line: string) => console.error(`tfgeo: ${line}`);

const results: Answer[] = [];
const report = (result: Answer) => {
  results.push(result);
  console.log(`${result.passed ? 'ok    ' : 'FAILED'} ${result.name}: ${result.detail}`);
};

/**
 * The Python that `variable` names, or one in the cache.
 * @throws UserError in one line where it cannot be had
 */
async function provided(variable: string, make: () => Promise<string>): Promise<string> {
  try {
    return process.env[variable] || (await make());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${error.message}; name a Python that has what is needed with ${variable}`);
  }
}

function pythonWithTensorFlow(): Promise<string> {
  const name = `oracle-tensorflow-${TENSORFLOW}`;
  return provided('TFGEO_ORACLE_PYTHON', () => pythonWith(name, [`${PACKAGE}==${TENSORFLOW}`], say));
}

function pythonWithTorchModels(): Promise<string> {
  const packages = [TRANSFORMERS, 'safetensors', 'scipy'];
  return provided('TFGEO_ORACLE_TORCH', () => pythonWithTorch(packages, say));
}

/** Checks SavedModels in Python. @param library of operators, for native ones */
function check(python: string, folders: readonly string[], library?: string): Promise<Answer[]> {
  return askPython(python, 'saved_model.py', folders, library ? ['--ops', library] : []);
}

/** The library of operators, if this machine's is for the TensorFlow in question. */
function opLibrary(): string | null {
  const { version, opLibrary: library } = currentEngine()!.tensorflow!;
  return version === TENSORFLOW ? library.path : null;
}

async function checkExports(python: string): Promise<Answer[]> {
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
    return results;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Checks saved weights, one after the other: together they would fill a disk. */
async function checkWeights(
  python: string,
  script: string,
  cases: readonly WeightsCase[],
  beside?: string,
): Promise<void> {
  await ready();
  for (const { name, write } of cases) {
    const root = mkdtempSync(join(tmpdir(), 'tfgeo-oracle-'));
    try {
      await write(join(root, name));
      (await askPython(python, script, [join(root, name)], [], beside)).forEach(report);
    } catch (error) {
      report({ name, passed: false, detail: describe(error) });
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }
}

function describe(error: unknown): string {
  return error instanceof UserError ? error.message : String((error as Error).stack);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, only: { type: 'string' } },
});
try {
  const { only } = values;
  if (only !== undefined && !(PARTS as readonly string[]).includes(only)) {
    throw new UserError(`--only must be ${PARTS.join(' or ')}, but it is "${only}"`);
  }
  const folders = positionals.map((folder) => resolve(folder));
  if (folders.length > 0) {
    (await check(await pythonWithTensorFlow(), folders)).forEach(report);
  } else {
    const wanted = (part: (typeof PARTS)[number]) => only === undefined || only === part;
    if (wanted('saved-models')) (await checkExports(await pythonWithTensorFlow())).forEach(report);
    if (wanted('huggingface'))
      await checkWeights(await pythonWithTorchModels(), 'huggingface.py', HUGGING_FACE_CASES);
    if (wanted('torchvision')) {
      const python = await pythonWithTorchModels();
      const packages = [`torchvision==${TORCHVISION}`, 'pillow'];
      const beside = await packagesBeside(python, `oracle-torchvision-${TORCHVISION}`, packages, say);
      await checkWeights(python, 'torchvision_models.py', TORCHVISION_CASES, beside);
    }
  }
} catch (error) {
  report({
    name: 'run',
    passed: false,
    detail: describe(error),
  });
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
const failed = results.filter(({ passed }) => !passed).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
if (failed > 0 || results.length === 0) process.exitCode = 1;
