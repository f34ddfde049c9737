// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  name?: string;
  version?: string;
}

let found: { root: string; manifest: Manifest } | null = null;

/** The package's folder, whether this file runs from `src/` in a checkout or from `dist/src/` in the package. */
export function packageRoot(): string {
  return locate().root;
}

/** The package's version. */
export function packageVersion(): string {
  return locate().manifest.version ?? 'unknown';
}

/** What the package keeps for later: `$XDG_CACHE_HOME/tfgeo`, or `~/.cache/tfgeo`. */
export function cacheRoot(): string {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG specification says to ignore a relative path.
  const usable = base?.startsWith('/') ? base : join(homedir(), '.cache');
  return resolve(usable, 'tfgeo');
}

function locate(): { root: string; manifest: Manifest } {
  if (found !== null) return found;
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = readManifest(folder);
    if (manifest?.name === 'tfgeo') {
      found = { root: folder, manifest };
      return found;
    }
    if (dirname(folder) === folder)
      throw new Error(`tfgeo's package folder was not found above ${import.meta.url}`);
  }
}

function readManifest(folder: string): Manifest | null {
  const path = join(folder, 'package.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : null;
}
