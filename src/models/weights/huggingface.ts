// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../../errors.js';
import { readSafetensors, TensorFile } from './safetensors.js';

/** A model folder as `save_pretrained` writes it. */
export interface HuggingFaceFolder {
  folder: string;
  /** The contents of `config.json`. */
  config: Record<string, unknown>;
  tensors: TensorFile;
}

/**
 * Reads `config.json` and `model.safetensors`, or the parts that `model.safetensors.index.json` lists.
 *
 * @throws UserError (exit code `checkpoint`) if a file is missing or damaged
 */
export async function readHuggingFace(folder: string): Promise<HuggingFaceFolder> {
  if (!existsSync(folder))
    fail(`there is no folder ${folder}; give one with config.json and model.safetensors`);
  const config = readJsonObject(join(folder, 'config.json'));
  return { folder, config, tensors: await readWeights(folder) };
}

function fail(message: string): never {
  throw new UserError(message, EXIT_CODES.checkpoint);
}

async function readWeights(folder: string): Promise<TensorFile> {
  const whole = join(folder, 'model.safetensors');
  const index = `${whole}.index.json`;
  if (existsSync(whole) || !existsSync(index)) {
    if (!existsSync(whole) && existsSync(join(folder, 'pytorch_model.bin'))) {
      fail(`${folder} has only pytorch_model.bin; save it again with safe_serialization=True`);
    }
    return readSafetensors(whole);
  }
  const { weight_map: map } = readJsonObject(index);
  if (typeof map !== 'object' || map === null) fail(`${index} has no weight_map; get the folder again`);
  const all = new TensorFile(folder);
  for (const part of new Set(Object.values(map))) {
    const path = join(folder, String(part));
    for (const [name, tensor] of await readSafetensors(path)) all.set(name, tensor);
  }
  const absent = Object.keys(map).find((name) => !all.has(name));
  if (absent !== undefined)
    fail(`${index} lists tensor ${absent}, which no part holds; get the folder again`);
  return all;
}

function readJsonObject(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    fail(`cannot read ${path}; a model folder has config.json and model.safetensors`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`${path} is not JSON (${(error as Error).message}); get or write the file again`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(`${path} does not hold a JSON object; get or write the file again`);
  }
  return value as Record<string, unknown>;
}
