// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describeWriteError } from './files.js';

/**
 * Writes a whole file or nothing: the bytes go to a temporary name in the same folder, are forced to disk, and only
 * then take the file's name. A crash leaves the earlier file as it was. Missing folders are made.
 *
 * @param path file to make or replace
 * @param chunks written one after the other
 * @throws UserError when the place cannot be written
 */
export function writeFileAtomicSync(path: string, chunks: string | Uint8Array | readonly Uint8Array[]): void {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    mkdirSync(folder, { recursive: true });
    writeAll(temporary, typeof chunks === 'string' ? [Buffer.from(chunks)] : asList(chunks));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw describeWriteError(path, error);
  }
  syncFolder(folder);
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
