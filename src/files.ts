// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EXIT_CODES, UserError } from './errors.js';

/** The `code` of a Node system error (`ENOENT`, ...), or null for anything else. */
export function errorCode(error: unknown): string | null {
  // Not `instanceof Error`: errors may come from another realm (worker, vm).
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : null;
}

const WRITE_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'no permission to write there; choose another place',
  EPERM: 'no permission to write there; choose another place',
  EROFS: 'that file system is read-only; choose another place',
  ENOSPC: 'the disk is full; make room or choose another place',
  EISDIR: 'that is a folder; give a file name',
  ENOTDIR: 'a part of that path is a file; choose another place',
  EEXIST: 'a part of that path is a file; choose another place',
};

/** A system error from writing `path` as one line with a remedy; anything else is returned unchanged. */
export function describeWriteError(path: string, error: unknown): unknown {
  const code = errorCode(error);
  const remedy = code === null ? undefined : WRITE_REMEDIES[code];
  if (remedy === undefined) return error;
  return new UserError(`cannot write ${path}: ${remedy}`, EXIT_CODES.data, { cause: error });
}

/**
 * Writes a file so that a reader sees the old content or the whole new one, never a part: the data go to a temporary
 * name in the same folder, are flushed, and renamed. Missing folders are made.
 *
 * @throws UserError when the place cannot be written.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw describeWriteError(path, error);
  }
}
