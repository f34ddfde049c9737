// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { didYouMean, EXIT_CODES, UserError } from '../../src/errors.js';
import type { ParityArea, ParityCase } from './types.js';

const MANIFEST = 'manifest.json';

/**
 * The areas of a folder laid out like the golden vectors: each subfolder with a manifest is one. A folder that has a
 * manifest itself is a single area.
 *
 * @param wanted names of areas; empty = all there are
 * @throws UserError where the folder, an area or a manifest is missing or unreadable
 */
export function readAreas(dir: string, wanted: readonly string[] = []): ParityArea[] {
  const root = resolve(dir);
  if (!existsSync(root)) throw new UserError(`${dir}: there is no such folder`, EXIT_CODES.data);
  const folders = existsSync(join(root, MANIFEST))
    ? [root]
    : readdirSync(root, { withFileTypes: true })
        .filter((entry) => existsSync(join(root, entry.name, MANIFEST)))
        .map((entry) => join(root, entry.name))
        .sort();
  if (folders.length === 0) {
    throw new UserError(`${dir}: no ${MANIFEST} in it or in its folders`, EXIT_CODES.data);
  }
  const known = folders.map((folder) => basename(folder));
  for (const name of wanted) {
    if (known.includes(name)) continue;
    const near = didYouMean(name, known);
    throw new UserError(
      `${dir}: no area "${name}"${near ? `, did you mean "${near}"?` : ''} There are: ${known.join(', ')}`,
      EXIT_CODES.data,
    );
  }
  return folders.filter((folder) => wanted.length === 0 || wanted.includes(basename(folder))).map(readArea);
}

function readArea(dir: string): ParityArea {
  const path = join(dir, MANIFEST);
  let manifest: { area?: unknown; cases?: unknown };
  try {
    manifest = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError(`${path}: not readable as JSON: ${(error as Error).message}`, EXIT_CODES.data);
  }
  if (!Array.isArray(manifest.cases)) throw new UserError(`${path}: has no list of cases`, EXIT_CODES.data);
  const cases = manifest.cases as ParityCase[];
  cases.forEach((entry, i) => {
    if (typeof entry?.name !== 'string' || !Array.isArray(entry.files)) {
      throw new UserError(`${path}: case ${i} has no name or no files`, EXIT_CODES.data);
    }
    entry.config ??= {};
  });
  return { name: typeof manifest.area === 'string' ? manifest.area : basename(dir), dir, cases };
}
