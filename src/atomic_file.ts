// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describeWriteError } from './files.js';

/** A file to be written: its place, and the pieces of its content one after the other. */
export interface FileToWrite {
  path: string;
  chunks: string | Uint8Array | readonly Uint8Array[];
}

/**
 * Writes a whole file or nothing: the bytes go to a temporary name in the same folder, are forced to disk, and only
 * then take the file's name. A crash leaves the earlier file as it was. Missing folders are made.
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
      const folder = dirname(path);
      mkdirSync(folder, { recursive: true });
      const suffix = `${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
      const temporary = join(folder, `.${basename(path)}.${suffix}`);
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
