// SPDX-License-Identifier: Apache-2.0
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type CheckpointFile,
  readCheckpoint,
  readJsonObject,
  WEIGHT_FILES,
} from '../weights/checkpoint_file.js';
import type { TorchReadOptions } from '../weights/torch/read.js';
import { BACKBONES } from './backbones.js';
import { DETECTORS } from './detectors.js';
import { TEXT_ENCODERS } from './text_encoders.js';
import type { Published, PublishedKind, Recognised } from './types.js';

/** Every kind of weights that is known, in the order of asking. A new kind is a row here. */
export const PUBLISHED_KINDS: readonly PublishedKind[] = [...DETECTORS, TEXT_ENCODERS, BACKBONES];

/**
 * Reads weights and the `config.json` beside them.
 * @param path a folder, or a file in it
 * @throws UserError as `readCheckpoint`
 */
export async function readPublished(path: string, options: TorchReadOptions = {}): Promise<Published> {
  const file: CheckpointFile = await readCheckpoint(path, options);
  const isFolder = statSync(path).isDirectory();
  const configPath = join(isFolder ? path : dirname(path), 'config.json');
  // What lies beside a file of another name need not belong to it.
  const belongs = isFolder || WEIGHT_FILES.includes(basename(path));
  const config =
    belongs && existsSync(configPath) ? { path: configPath, values: readJsonObject(configPath) } : null;
  return { file, config, source: path };
}

/** What weights are of, or null if they are of no kind that is known. */
export function recognise(published: Published): Recognised | null {
  for (const kind of PUBLISHED_KINDS) {
    const found = kind.recognise(published);
    if (found) return found;
  }
  return null;
}
