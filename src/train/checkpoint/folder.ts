// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describeWriteError } from '../../files.js';

/**
 * Makes a folder that is there whole or not at all: `fill` writes into a temporary one beside it, which then takes the
 * name. An existing folder of that name is put aside first and removed last.
 *
 * @throws UserError when the place cannot be written; the temporary folder is removed
 */
export function writeFolderAtomic(path: string, fill: (folder: string) => void): void {
  const parent = dirname(path);
  const mark = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const temporary = join(parent, `.tmp-${mark}-${basename(path)}`);
  const aside = join(parent, `.tmp-old-${mark}-${basename(path)}`);
  try {
    mkdirSync(temporary, { recursive: true });
    fill(temporary);
    syncFolder(temporary);
    const replaces = existsSync(path);
    if (replaces) renameSync(path, aside);
    renameSync(temporary, path);
    syncFolder(parent);
    if (replaces) rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (existsSync(aside) && !existsSync(path)) renameSync(aside, path);
    throw describeWriteError(path, error);
  }
}

/** Lets the link `path` point at its neighbour `target`, in one step: a reader sees the old one or the new one. */
export function pointTo(path: string, target: string): void {
  const temporary = `${path}.tmp-${randomBytes(4).toString('hex')}`;
  symlinkSync(target, temporary);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Name of the neighbour a link points at, or null. */
export function pointedAt(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** Size and SHA-256 of a file, to tell later whether it is whole. */
export interface FileSeal {
  bytes: number;
  sha256: string;
}

export function sealOf(path: string): FileSeal {
  const content = readFileSync(path);
  return { bytes: content.byteLength, sha256: createHash('sha256').update(content).digest('hex') };
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } catch {
    // Some network file systems refuse to flush a folder; its files are flushed already.
  } finally {
    closeSync(handle);
  }
}
