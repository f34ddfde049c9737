// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Size in bytes of every file of a cached folder, by relative path; written last, so its presence means "complete". */
export interface Manifest {
  version: string;
  files: Record<string, number>;
  /** CRC-32 of the files where it is known. */
  checksums?: Record<string, number>;
  /** GPU code inside, where the folder holds a CUDA library. */
  targets?: string[];
}

const MANIFEST = 'tfgeo-manifest.json';
const HEARTBEAT_MS = 2_000;
const STALE_MS = 20_000;
const POLL_MS = 100;

export function writeManifest(folder: string, manifest: Manifest): void {
  writeAtomically(join(folder, MANIFEST), `${JSON.stringify(manifest)}\n`);
}

/** The manifest of `folder`, or null if it has none or a broken one. */
export function readManifest(folder: string): Manifest | null {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8')) as Manifest;
    return typeof manifest.version === 'string' && typeof manifest.files === 'object' ? manifest : null;
  } catch {
    return null;
  }
}

/**
 * What is wrong with a cached folder, or null if it is whole.
 * @param only checks these files only: a manifest may list thousands of headers.
 */
export function folderFault(folder: string, only?: readonly string[]): string | null {
  const manifest = readManifest(folder);
  if (manifest === null) return 'it is incomplete (no manifest)';
  for (const file of only ?? Object.keys(manifest.files)) {
    const wanted = manifest.files[file];
    if (wanted === undefined) return `its manifest does not list ${file}`;
    const size = statSync(join(folder, file), { throwIfNoEntry: false })?.size;
    if (size === undefined) return `${file} is missing`;
    if (size !== wanted) return `${file} has ${size} bytes instead of ${wanted}`;
  }
  return null;
}

/** The first file whose contents are not what they were, or null. Reads every file that has a checksum. */
export function checksumFault(folder: string): string | null {
  for (const [file, wanted] of Object.entries(readManifest(folder)?.checksums ?? {})) {
    if (fileChecksum(join(folder, file)) !== wanted) return `the contents of ${file} have changed`;
  }
  return null;
}

function fileChecksum(path: string): number {
  const buffer = Buffer.alloc(1 << 22);
  const file = openSync(path, 'r');
  try {
    let crc = 0;
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer)) {
      crc = crc32(buffer.subarray(0, length), crc);
    }
    return crc;
  } finally {
    closeSync(file);
  }
}

/** Writes a file under a temporary name first, so that no reader ever sees half of it. */
export function writeAtomically(path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, data);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Puts the finished folder `from` in the place of `to`, whatever is there. */
export function replaceFolder(from: string, to: string): void {
  const old = `${to}.old-${process.pid}`;
  rmSync(old, { recursive: true, force: true });
  try {
    renameSync(to, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  renameSync(from, to);
  rmSync(old, { recursive: true, force: true });
}

/**
 * Runs `work` while holding the lock `path`, a folder whose modification time is its holder's heartbeat.
 * A lock whose holder is dead (same machine) or silent for 20 seconds is taken over.
 * @param onWait called once if another process holds the lock.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, onWait?: () => void): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  let told = false;
  while (!tryLock(path)) {
    if (!told) onWait?.();
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const heartbeat = setInterval(() => touch(path), HEARTBEAT_MS);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if (holderOf(path)?.pid === process.pid) rmSync(path, { recursive: true, force: true });
  }
}

function tryLock(path: string): boolean {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (isStale(path)) breakLock(path);
    return false;
  }
  writeFileSync(join(path, 'holder.json'), JSON.stringify({ pid: process.pid, host: hostname() }));
  return true;
}

/** Moves the stale lock away before removing it, so that of two processes only one breaks it. */
function breakLock(path: string): void {
  const aside = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, aside);
    // Somebody else may have broken it and locked anew in between: give that one back.
    if (isStale(aside)) rmSync(aside, { recursive: true, force: true });
    else renameSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function isStale(path: string): boolean {
  const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (modified === undefined) return false;
  if (Date.now() - modified > STALE_MS) return true;
  const holder = holderOf(path);
  return holder !== null && holder.host === hostname() && !isAlive(holder.pid);
}

function holderOf(path: string): { pid: number; host: string } | null {
  try {
    return JSON.parse(readFileSync(join(path, 'holder.json'), 'utf8')) as { pid: number; host: string };
  } catch {
    return null; // just being made, or just removed
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function touch(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // The lock was broken or removed; the work goes on and ends with a rename, which is safe.
  }
}
