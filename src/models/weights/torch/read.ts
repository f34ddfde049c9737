// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../../errors.js';
import { FileReader } from '../../../file_reader.js';
import { errorCode } from '../../../files.js';
import { PickleError } from '../pickle/input.js';
import { describeValue, PickleObject } from '../pickle/values.js';
import { TensorFile } from '../safetensors.js';
import { readArchive, type TorchFile } from './archive.js';
import { LEGACY_MAGIC, readLegacy } from './legacy.js';
import { readTensors } from './tensors.js';
import { TorchTensor } from './values.js';

/** A `.pth` file: the tensors of its state dict, and what else it holds. */
export interface TorchCheckpoint {
  format: TorchFile['format'];
  tensors: TensorFile;
  /** Where the state dict stands in the file: `model`, or an empty text where it is the file's own object. */
  key: string;
  /** Entries beside the state dict and what they are, in words. */
  others: ReadonlyMap<string, string>;
  /** The arguments of the program that trained it (`args`), if it kept them. */
  args: Readonly<Record<string, unknown>> | null;
  /** Entries of the state dict that are no tensors, and what they are. */
  skipped: ReadonlyMap<string, string>;
}

export interface TorchReadOptions {
  /** Entry that is the state dict, with dots between levels; found by itself if not given. */
  key?: string;
}

/** Entries that hold the state dict in published checkpoints, in the order of trying. */
const KEYS = ['model', 'state_dict', 'model_state_dict', 'module', 'net', 'network', 'weights'] as const;

/** Counters that programs which average weights keep beside them. */
const COUNTERS = ['steps', 'n_averaged'];

/** Prefixes that wrappers of PyTorch put before every name. */
const WRAPPERS = ['module.', '_orig_mod.'] as const;

/** Whether a file begins as one of PyTorch's does. @param head its first 16 bytes or more */
export function isTorch(head: Uint8Array): boolean {
  return isZip(head) || LEGACY_MAGIC.every((byte, i) => head[i] === byte);
}

function isZip(head: Uint8Array): boolean {
  return head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4;
}

/**
 * Reads a checkpoint that `torch.save` wrote, in today's format or the one before 1.6. It is data to tfgeo: a pickle that
 * names anything but tensors and plain containers is refused, and nothing in it is ever run.
 * @throws UserError (exit code `checkpoint`) naming the opcode, global, storage or tensor that is wrong
 */
export async function readTorch(path: string, options: TorchReadOptions = {}): Promise<TorchCheckpoint> {
  try {
    return await FileReader.using(path, (file) => readOpened(file, options));
  } catch (error) {
    throw explain(path, error);
  }
}

async function readOpened(file: FileReader, options: TorchReadOptions): Promise<TorchCheckpoint> {
  const head = await file.read(0, Math.min(16, file.size));
  if (!isTorch(head)) throw new Error(`it does not begin as a file of PyTorch does (${file.size} bytes)`);
  const opened = isZip(head) ? await readArchive(file) : await readLegacy(file);
  const { key, dict, others } = findStateDict(opened.root, options.key);
  const tensors = new Map<string, TorchTensor>();
  const skipped = new Map<string, string>();
  for (const [name, value] of dict) {
    if (value instanceof TorchTensor) tensors.set(nameOf(name), value);
    else skipped.set(nameOf(name), describeValue(value));
  }
  const values = await readTensors(opened, tensors, file.size);
  const result = new TensorFile(file.path);
  const prefix = wrapperOf([...values.keys()].filter((name) => !COUNTERS.includes(name)));
  for (const [name, tensor] of values) {
    if (prefix === '' || name.startsWith(prefix)) result.set(name.slice(prefix.length), tensor);
    else skipped.set(name, `counter of averages: ${describeValue(tensors.get(name))}`);
  }
  return {
    format: opened.format,
    tensors: result,
    key,
    others: new Map([...others].map(([name, value]) => [name, describeValue(value)])),
    args: argumentsOf(others.get('args')),
    skipped,
  };
}

/** A key of a dict as a name. */
function nameOf(key: unknown): string {
  return typeof key === 'string' ? key : describeValue(key);
}

/** A prefix that all names have and that says nothing about the model. */
function wrapperOf(names: readonly string[]): string {
  let prefix = '';
  for (;;) {
    const more = WRAPPERS.find((wrapper) => names.every((name) => name.startsWith(prefix + wrapper)));
    if (more === undefined || names.length === 0) return prefix;
    prefix += more;
  }
}

function argumentsOf(value: unknown): Record<string, unknown> | null {
  if (value instanceof PickleObject) return Object.fromEntries(value.fields);
  return value instanceof Map
    ? Object.fromEntries([...value].map(([name, item]) => [nameOf(name), item]))
    : null;
}

interface StateDict {
  key: string;
  dict: ReadonlyMap<unknown, unknown>;
  others: ReadonlyMap<string, unknown>;
}

function findStateDict(root: unknown, wanted: string | undefined): StateDict {
  if (!(root instanceof Map)) throw new Error(`it holds no dict of tensors but ${describeValue(root)}`);
  const beside = (key: string) =>
    new Map([...root].filter(([name]) => name !== key).map(([name, value]) => [nameOf(name), value]));
  if (wanted !== undefined) {
    const dict = wanted
      .split('.')
      .reduce<unknown>((at, name) => (at instanceof Map ? at.get(name) : undefined), root);
    if (isStateDict(dict)) return { key: wanted, dict, others: beside(wanted.split('.')[0]!) };
    throw new Error(`there is no dict of tensors at ${wanted}${suggestion(wanted, root)}`);
  }
  if (isStateDict(root)) return { key: '', dict: root, others: new Map() };
  const candidates = [...root].flatMap(([name, value]) => (isStateDict(value) ? [nameOf(name)] : []));
  const key =
    KEYS.find((name) => candidates.includes(name)) ?? (candidates.length === 1 ? candidates[0] : undefined);
  if (key !== undefined) return { key, dict: root.get(key) as Map<unknown, unknown>, others: beside(key) };
  throw new Error(
    candidates.length > 1
      ? `it has several dicts of tensors (${candidates.join(', ')}); say which with the key`
      : `there is no dict of tensors in it; it has ${[...root.keys()].map(nameOf).join(', ') || 'nothing'}`,
  );
}

function suggestion(wanted: string, root: ReadonlyMap<unknown, unknown>): string {
  const names = [...root].flatMap(([name, value]) => (isStateDict(value) ? [nameOf(name)] : []));
  const near = didYouMean(wanted, names);
  return near ? ` (did you mean ${near}?)` : `; there is one at ${names.join(', ') || 'no other place'}`;
}

/** Whether most of a dict's entries are tensors. */
function isStateDict(value: unknown): value is Map<unknown, unknown> {
  if (!(value instanceof Map) || value.size === 0) return false;
  const tensors = [...value.values()].filter((item) => item instanceof TorchTensor).length;
  return 2 * tensors > value.size;
}

/** An error as one line with the file's name and what to do. */
function explain(path: string, error: unknown): unknown {
  const options = { cause: error };
  const code = errorCode(error);
  if (code !== null) {
    const reason = code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    return new UserError(`cannot read weights ${path}: ${reason}`, EXIT_CODES.checkpoint, options);
  }
  // A fault of the program itself keeps its stack.
  const pickled = error instanceof PickleError;
  if (!pickled && (error as Error).name !== 'Error') return error;
  const remedy = pickled
    ? 'nothing of it was run or loaded; use a checkpoint you trust, or save its weights alone with torch.save(model.state_dict(), ...)'
    : 'get or write the file again';
  const what = (error as Error).message;
  return new UserError(`${path} cannot be read: ${what}; ${remedy}`, EXIT_CODES.checkpoint, options);
}
