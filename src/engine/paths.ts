// SPDX-License-Identifier: Apache-2.0
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export { packageRoot } from '../package.js';

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
