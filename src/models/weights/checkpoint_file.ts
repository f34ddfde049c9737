// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT_CODES, UserError } from '../../errors.js';
import { FileReader } from '../../file_reader.js';
import { errorCode } from '../../files.js';
import { readSafetensors, TensorFile } from './safetensors.js';
import { isTorch, readTorch, type TorchCheckpoint, type TorchReadOptions } from './torch/read.js';

/** Weights as they lie on disk, whatever wrote them. */
export interface CheckpointFile extends Omit<TorchCheckpoint, 'format'> {
  /** In words. */
  format: string;
  /** Files that were read. */
  files: string[];
}

/** Weights of a folder in one file. */
export const WEIGHTS_FILE = 'model.safetensors';

/** Names of weights in a folder, in the order of looking: whole files, and lists of parts. */
export const WEIGHT_FILES: readonly string[] = [
  WEIGHTS_FILE,
  `${WEIGHTS_FILE}.index.json`,
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

const FORMATS = { zip: 'PyTorch', legacy: 'PyTorch before 1.6' } as const;

/** What files begin with that users mistake for weights. */
const MISTAKEN: readonly (readonly [begins: string, what: string])[] = [
  ['version https://git-lfs', 'it is a pointer of Git LFS, not the weights; get them with git lfs pull'],
  ['<', 'it is a web page, not the weights; download the file itself'],
];

function fail(message: string): never {
  throw new UserError(message, EXIT_CODES.checkpoint);
}

/** The file with the weights of a folder, or null. */
export function weightsIn(folder: string): string | null {
  const name = WEIGHT_FILES.find((candidate) => existsSync(join(folder, candidate)));
  return name === undefined ? null : join(folder, name);
}

/** Whether a path is of weights, by its name; a folder by what is in it. */
export function isWeights(path: string): boolean {
  if (/\.(safetensors|pth|pt|bin|ckpt)$|\.(safetensors|bin)\.index\.json$/.test(path)) return true;
  return existsSync(path) && statSync(path).isDirectory() && weightsIn(path) !== null;
}

/**
 * Reads weights: a `.safetensors` file, a PyTorch file (`.pth`, `.pt`, `.bin`), the `.index.json` of one that is in parts,
 * or a folder with one of them as Hugging Face names it. What a file is, its first bytes say, not its name.
 * @param options.key see `readTorch`
 * @throws UserError (exit code `checkpoint`) naming the file, and the tensor, opcode or part that is wrong
 */
export async function readCheckpoint(path: string, options: TorchReadOptions = {}): Promise<CheckpointFile> {
  if (!existsSync(path)) fail(`cannot read weights ${path}: there is no such file or folder`);
  if (statSync(path).isDirectory()) {
    const inside = weightsIn(path);
    if (inside === null)
      fail(`there are no weights in ${path}; a model folder holds one of ${WEIGHT_FILES.join(', ')}`);
    return { ...(await readFileOf(inside, options)) };
  }
  return readFileOf(path, options);
}

async function readFileOf(path: string, options: TorchReadOptions): Promise<CheckpointFile> {
  if (path.endsWith('.index.json')) return readParts(path, options);
  const head = await readHead(path);
  const text = Buffer.from(head).toString('latin1').trimStart();
  const mistaken = MISTAKEN.find(([begins]) => text.startsWith(begins));
  if (mistaken) fail(`cannot read weights ${path}: ${mistaken[1]}`);
  if (isTorch(head)) {
    const read = await readTorch(path, options);
    return { ...read, format: FORMATS[read.format], files: [path] };
  }
  const tensors = await readSafetensors(path);
  return { ...plain(tensors, 'safetensors', [path]), args: keptArguments(tensors) };
}

/** Entry of a safetensors file's metadata that keeps the arguments of an original program, as JSON. */
export const ARGUMENTS_ENTRY = 'arguments';

function keptArguments({ metadata, source }: TensorFile): Record<string, unknown> | null {
  const text = metadata[ARGUMENTS_ENTRY];
  return text === undefined ? null : parseJsonObject(text, `the ${ARGUMENTS_ENTRY} in ${source}`);
}

function plain(tensors: TensorFile, format: string, files: string[]): CheckpointFile {
  return { format, tensors, files, key: '', others: new Map(), args: null, skipped: new Map() };
}

async function readHead(path: string): Promise<Uint8Array> {
  try {
    return await FileReader.using(path, (file) => file.read(0, Math.min(file.size, 64)));
  } catch (error) {
    if (errorCode(error) === null) throw error;
    return fail(`cannot read weights ${path}: ${(error as Error).message}`);
  }
}

/** Reads a model that lies in several files, as an index says. */
async function readParts(index: string, options: TorchReadOptions): Promise<CheckpointFile> {
  const map = weightMap(index);
  const folder = dirname(index);
  const all = new TensorFile(folder);
  const parts = [...new Set(Object.values(map))];
  const files = parts.map((part) => join(folder, part));
  let format = '';
  for (const [i, file] of files.entries()) {
    if (!existsSync(file)) fail(`${index} lists ${parts[i]}, which is missing; get the folder again`);
    const read = await readFileOf(file, options);
    format = read.format;
    for (const [name, tensor] of read.tensors) {
      if (all.has(name)) fail(`${file}: tensor ${name} is in another part too; get the folder again`);
      if (map[name] !== parts[i])
        fail(`${file}: ${index} does not list tensor ${name} in it; get the folder again`);
      all.set(name, tensor);
    }
  }
  const absent = Object.keys(map).find((name) => !all.has(name));
  if (absent !== undefined)
    fail(`${index} lists tensor ${absent}, which no part holds; get the folder again`);
  return plain(all, `${format} in ${files.length} parts`, files);
}

function weightMap(index: string): Record<string, string> {
  const { weight_map: map } = readJsonObject(index);
  if (typeof map !== 'object' || map === null) fail(`${index} has no weight_map; get the folder again`);
  for (const part of Object.values(map)) {
    // A part lies beside its index and nowhere else.
    if (typeof part !== 'string' || basename(part) !== part || part.endsWith('.index.json')) {
      fail(
        `${index} lists the part ${JSON.stringify(part)}, which is no file beside it; get the folder again`,
      );
    }
  }
  return map as Record<string, string>;
}

/** Reads a JSON file that must hold an object. */
export function readJsonObject(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    fail(`cannot read ${path}; a model folder has config.json and model.safetensors`);
  }
  return parseJsonObject(text, path);
}

/** @param source what messages call the text */
function parseJsonObject(text: string, source: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(`${source} is not JSON (${(error as Error).message}); get or write the file again`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(`${source} does not hold a JSON object; get or write the file again`);
  }
  return value as Record<string, unknown>;
}
