// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';

/** Version in the nearest `package.json` above this file: `bin/` in a checkout, `dist/bin/` in the package. */
export function packageVersion(): string {
  const candidates = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url));
  const file = candidates.find((url) => existsSync(url));
  return file ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : 'unknown';
}
