// SPDX-License-Identifier: Apache-2.0
import { homedir } from 'node:os';

export { cacheRoot, packageRoot } from '../package.js';

/** "linux-x64", "linux-arm64", ...: what native files are kept apart by. */
export function platformArch(arch: string = process.arch): string {
  return `${process.platform}-${arch}`;
}

/** "~/x" for a path in the home folder, for messages. */
export function shortPath(path: string): string {
  const home = homedir();
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
