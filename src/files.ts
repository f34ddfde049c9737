// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
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

/** A file to be written: its place, and the pieces of its content one after the other. */
export interface FileToWrite {
  path: string;
  chunks: string | Uint8Array | readonly Uint8Array[];
}

/** A hidden name beside `path` that no other process uses. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`);
}

/**
 * Writes a file so that a reader sees the old content or the whole new one, never a part: the data go to a temporary
 * name in the same folder, are flushed, and renamed. Missing folders are made.
 *
 * @throws UserError when the place cannot be written.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await mkdir(dirname(path), { recursive: true });
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

/**
 * The same without giving way to other work in between, for what must be whole before the program goes on.
 *
 * @throws UserError when the place cannot be written
 */
export function writeFileAtomicSync(path: string, chunks: FileToWrite['chunks']): void {
  writeFilesAtomicSync([{ path, chunks }]);
}

/** The same for files that belong together: none takes its name before all are written. */
export function writeFilesAtomicSync(files: readonly FileToWrite[]): void {
  const pending: { path: string; temporary: string }[] = [];
  let current = '';
  try {
    for (const { path, chunks } of files) {
      current = path;
      mkdirSync(dirname(path), { recursive: true });
      const temporary = temporaryName(path);
      pending.push({ path, temporary });
      writeAll(temporary, typeof chunks === 'string' ? [Buffer.from(chunks)] : asList(chunks));
    }
    for (const { path, temporary } of pending) {
      current = path;
      renameSync(temporary, path);
    }
  } catch (error) {
    for (const { temporary } of pending) rmSync(temporary, { force: true });
    throw describeWriteError(current, error);
  }
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) syncFolder(folder);
}

function asList(chunks: Uint8Array | readonly Uint8Array[]): readonly Uint8Array[] {
  return chunks instanceof Uint8Array ? [chunks] : chunks;
}

function writeAll(path: string, chunks: readonly Uint8Array[]): void {
  const file = openSync(path, 'wx');
  try {
    for (const chunk of chunks) {
      // write(2) takes at most 2 GiB at a time and may take less than it is given.
      for (let done = 0; done < chunk.byteLength; ) {
        done += writeSync(file, chunk, done, Math.min(chunk.byteLength - done, 1 << 30));
      }
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes the rename itself durable; file systems that cannot open a folder are left alone. */
function syncFolder(folder: string): void {
  let handle: number;
  try {
    handle = openSync(folder, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(handle);
  } catch {
    // Some network file systems refuse fsync on a folder; the data itself is already safe.
  } finally {
    closeSync(handle);
  }
}
