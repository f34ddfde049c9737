// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';

/** A SavedModel that is to be served. */
export interface FoundModel {
  /** Its name in URLs. */
  name: string;
  version: string;
  /** Folder with `saved_model.pb`. */
  folder: string;
}

const VERSION = /^\d+$/;

/**
 * The SavedModel in a folder: the newest of its version folders (`1`, `2`, ...), as TensorFlow Serving has it, or the
 * folder itself.
 * @param name in URLs; default: the folder's name
 * @throws UserError if there is none
 */
export async function findModel(folder: string, name?: string): Promise<FoundModel> {
  const root = resolve(folder);
  if (isModel(root)) {
    const own = basename(root);
    return VERSION.test(own)
      ? { name: name ?? basename(dirname(root)), version: String(BigInt(own)), folder: root }
      : { name: name ?? own, version: '1', folder: root };
  }
  const entries = await readdir(root).catch((error: unknown) => {
    throw new UserError(`${folder} cannot be read (${(error as Error).message})`, EXIT_CODES.checkpoint);
  });
  const versions = entries
    .filter((entry) => VERSION.test(entry) && isModel(join(root, entry)))
    .sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const newest = versions.at(-1);
  if (newest === undefined) {
    throw new UserError(
      `${folder} holds no SavedModel: neither saved_model.pb nor version folders (1, 2, ...) with one; ` +
        '"tfgeo-train export" writes one',
      EXIT_CODES.checkpoint,
    );
  }
  return { name: name ?? basename(root), version: String(BigInt(newest)), folder: join(root, newest) };
}

function isModel(folder: string): boolean {
  return existsSync(join(folder, 'saved_model.pb'));
}
