// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../../errors.js';
import { readCheckpoint, readJsonObject, weightsIn } from './checkpoint_file.js';
import type { TensorFile } from './safetensors.js';

/** A model folder as `save_pretrained` writes it. */
export interface HuggingFaceFolder {
  folder: string;
  /** The contents of `config.json`. */
  config: Record<string, unknown>;
  tensors: TensorFile;
}

/**
 * Reads `config.json` and the weights: `model.safetensors` or `pytorch_model.bin`, or the parts that an index lists.
 *
 * @throws UserError (exit code `checkpoint`) if a file is missing or damaged
 */
export async function readHuggingFace(folder: string): Promise<HuggingFaceFolder> {
  const expected = 'config.json and model.safetensors';
  if (!existsSync(folder))
    throw new UserError(`there is no folder ${folder}; give one with ${expected}`, EXIT_CODES.checkpoint);
  const config = readJsonObject(join(folder, 'config.json'));
  if (weightsIn(folder) === null)
    throw new UserError(
      `there are no weights in ${folder}; give a folder with ${expected}`,
      EXIT_CODES.checkpoint,
    );
  return { folder, config, tensors: (await readCheckpoint(folder)).tensors };
}
