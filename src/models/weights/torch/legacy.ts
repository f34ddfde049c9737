// SPDX-License-Identifier: Apache-2.0
import type { FileReader } from '../../../file_reader.js';
import { PickleError, PickleInput } from '../pickle/input.js';
import { unpickle } from '../pickle/unpickle.js';
import { describeValue, PickleTuple } from '../pickle/values.js';
import { LONGEST_PICKLE, storageOf, type TorchFile } from './archive.js';
import { TORCH_GLOBALS, type TorchStorage } from './values.js';

/** The number that PyTorch files before 1.6 begin with, pickled. */
export const LEGACY_MAGIC = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

const VERSION = 1001;

/** Where a run of numbers lies in the file. */
interface Place {
  position: number;
  bytes: number;
}

/**
 * Opens the format of `torch.save` before PyTorch 1.6, which is still written with
 * `_use_new_zipfile_serialization=False`: a magic number, a version, facts about the machine, the object, the names of
 * the storages, each a pickle; then each storage's count and values.
 * @throws Error or PickleError saying what is wrong with it
 */
export async function readLegacy(file: FileReader): Promise<TorchFile> {
  const head = await file.read(0, Math.min(file.size, LONGEST_PICKLE));
  const input = new PickleInput(head);
  /** Bytes of each whole run. */
  const sizes = new Map<string, number>();
  const plain = () => unpickle(input, { globals: new Map(), persistent: noStorage });
  plain();
  const version = plain();
  if (version !== VERSION)
    throw new Error(`it is of PyTorch's format ${describeValue(version)}, ${VERSION} is known`);
  const machine = plain();
  if (machine instanceof Map && machine.get('little_endian') === false) {
    throw new Error('its numbers are big-endian; save it on another machine');
  }
  const root = unpickle(input, {
    globals: TORCH_GLOBALS,
    persistent: (id) => legacyStorage(id, sizes),
  });
  const keys = plain();
  if (!Array.isArray(keys)) throw new Error('the list of its storages is missing');
  const places = await locate(file, input.position, keys, sizes);
  const bytesOf = async (key: string): Promise<Uint8Array> => {
    const place = places.get(key);
    if (!place) throw new Error(`storage ${key} is missing in it`);
    return file.read(place.position, place.bytes);
  };
  return { format: 'legacy', root, bytesOf };
}

function noStorage(): never {
  throw new PickleError('asks for a storage where none may be');
}

function legacyStorage(id: unknown, sizes: Map<string, number>): TorchStorage {
  const whole = storageOf(id, () => null);
  const known = sizes.get(whole.key);
  if (known !== undefined && known !== whole.bytes) {
    throw new PickleError(`says that storage ${whole.key} has ${whole.bytes} bytes, and ${known} before`);
  }
  sizes.set(whole.key, whole.bytes);
  return storageOf(id, (view, itemBytes) => {
    if (!(view instanceof PickleTuple)) return null;
    const [offset, count] = view.items.slice(1) as [number, number];
    const begin = offset * itemBytes;
    const bytes = count * itemBytes;
    if (![begin, bytes].every((n) => Number.isSafeInteger(n) && n >= 0) || begin + bytes > whole.bytes) {
      throw new PickleError(`shows a part of storage ${whole.key} that is beyond its end`);
    }
    return [begin, bytes];
  });
}

/** Finds the runs, which follow each other behind the pickles. */
async function locate(
  file: FileReader,
  start: number,
  keys: readonly unknown[],
  sizes: ReadonlyMap<string, number>,
): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let position = start;
  for (const key of keys) {
    const bytes = typeof key === 'string' ? sizes.get(key) : undefined;
    if (bytes === undefined || places.has(key as string))
      throw new Error('the list of its storages is damaged');
    const count = (await file.read(position, 8)).readBigInt64LE();
    const fits =
      count === 0n ? bytes === 0 : count > 0n && bytes % Number(count) === 0 && bytes / Number(count) <= 8;
    if (!fits)
      throw new Error(`storage ${String(key)} says it has ${count} values where ${bytes} bytes are expected`);
    position += 8;
    if (position + bytes > file.size) {
      throw new Error(
        `it is cut short: storage ${String(key)} ends at byte ${position + bytes}, it has ${file.size}`,
      );
    }
    places.set(key as string, { position, bytes });
    position += bytes;
  }
  return places;
}
