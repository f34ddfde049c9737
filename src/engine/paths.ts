// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

let root: string | null = null;

/** The package's folder: the one with `binding.gyp`, whether this file runs from `src/` or from `dist/src/`. */
export function packageRoot(): string {
  if (root !== null) return root;
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!isPackageRoot(folder)) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`tfgeo's package folder was not found above ${import.meta.url}`);
    folder = parent;
  }
  root = folder;
  return folder;
}

function isPackageRoot(folder: string): boolean {
  const manifest = join(folder, 'package.json');
  if (!existsSync(manifest)) return false;
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'tfgeo';
}

/** `$XDG_CACHE_HOME/tfgeo`, or `~/.cache/tfgeo`. */
export function cacheRoot(): string {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG specification says to ignore a relative path.
  const usable = base?.startsWith('/') ? base : join(homedir(), '.cache');
  return resolve(usable, 'tfgeo');
}

/** "linux-x64", "linux-arm64", ...: what native files are kept apart by. */
export function platformArch(): string {
  return `${process.platform}-${process.arch}`;
}

/** "~/x" for a path in the home folder, for messages. */
export function shortPath(path: string): string {
  const home = homedir();
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
