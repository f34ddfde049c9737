// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../src/engine/cache.js';
import { lastLine, runCommand } from '../src/engine/process.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { cacheRoot } from '../src/package.js';

/** The PyTorch, its torchvision, and the Hugging Face transformers, that results are compared with. */
const TORCH = '2.13.0';
export const TORCHVISION = '0.28.0';
export const TRANSFORMERS = 'transformers==5.23.0';

/** A Python with PyTorch and numpy, as {@link pythonWith}. @param more further packages */
export function pythonWithTorch(more: readonly string[], say: (line: string) => void): Promise<string> {
  return pythonWith(`bench-torch-${TORCH}`, [`torch==${TORCH}`, 'numpy', ...more], say);
}

/**
 * A Python with these packages: a virtual environment in the cache, made with the user's pip once.
 * @param name of the environment
 * @param packages with versions; those that are missing in the environment are added
 * @throws UserError in one line where it cannot be had
 */
export async function pythonWith(
  name: string,
  packages: readonly string[],
  say: (line: string) => void,
): Promise<string> {
  const folder = join(cacheRoot(), name);
  const [python, complete] = [join(folder, 'bin', 'python'), join(folder, 'complete')];
  const there = () => (existsSync(complete) ? readFileSync(complete, 'utf8').split('\n') : null);
  const isComplete = () => {
    const found = there();
    return found !== null && packages.every((each) => found.includes(each));
  };
  if (isComplete()) return python;
  return withLock(`${folder}.lock`, async () => {
    if (isComplete()) return python;
    say(`getting ${packages.join(', ')} with pip into ${folder} (once) ...`);
    if (there() === null) {
      rmSync(folder, { recursive: true, force: true });
      await must('python3', ['-m', 'venv', folder]);
    }
    await must(python, ['-m', 'pip', 'install', '--quiet', ...packages]);
    writeFileSync(complete, [...new Set([...(there() ?? []), ...packages])].filter(Boolean).join('\n'));
    return python;
  });
}

/**
 * A folder in the cache with packages of a Python, without what they depend on: for `PYTHONPATH`, where they must not be in sight of
 * other programs. transformers, for one, imports any torchvision that it sees, and fails where that is of another build of PyTorch.
 * @throws UserError in one line where it cannot be had
 */
export async function packagesBeside(
  python: string,
  name: string,
  packages: readonly string[],
  say: (line: string) => void,
): Promise<string> {
  const folder = join(cacheRoot(), name);
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return folder;
  return withLock(`${folder}.lock`, async () => {
    if (existsSync(complete)) return folder;
    say(`getting ${packages.join(', ')} with pip into ${folder} (once) ...`);
    rmSync(folder, { recursive: true, force: true });
    await must(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', folder, ...packages]);
    writeFileSync(complete, packages.join('\n'));
    return folder;
  });
}

async function must(command: string, args: string[]): Promise<void> {
  const { status, stdout, stderr, missing } = await runCommand(command, args);
  if (missing) throw unusable(`there is no ${command}`);
  if (status !== 0)
    throw unusable(lastLine(stderr) || lastLine(stdout) || `${command} exited with ${status}`);
}

function unusable(what: string): UserError {
  return new UserError(`no Python to compare with: ${what}`, EXIT_CODES.engine);
}
