// SPDX-License-Identifier: Apache-2.0
import type { FileReader } from '../../../file_reader.js';
import { readStoredEntry, type ZipEntry, zipDirectory } from '../../../zip.js';
import { PickleError, PickleInput } from '../pickle/input.js';
import { unpickle } from '../pickle/unpickle.js';
import { describeValue, PickleTuple } from '../pickle/values.js';
import { DTYPE_BYTES } from '../safetensors_header.js';
import { TORCH_GLOBALS, TorchStorage, TorchType } from './values.js';

/** A file that `torch.save` wrote: its object, and the bytes of the storages in it. */
export interface TorchFile {
  /** `zip` since PyTorch 1.6, `legacy` before. */
  format: 'zip' | 'legacy';
  root: unknown;
  /** All bytes of the run that a storage belongs to. @param key the storage's */
  bytesOf(key: string): Promise<Uint8Array>;
}

/** Pickles of weights have some hundred bytes a tensor; what is longer holds something else. */
export const LONGEST_PICKLE = 64 << 20;

/** The storage that a persistent identifier names. @param viewed the run is part of another one, as older files say */
export function storageOf(
  id: unknown,
  viewed: (view: unknown, itemBytes: number) => [number, number] | null,
): TorchStorage {
  const [kind, type, key, , count] = id instanceof PickleTuple ? id.items : [];
  if (kind !== 'storage' || !(type instanceof TorchType) || typeof key !== 'string') {
    throw new PickleError(`asks for something that is no storage (${describeValue(kind)})`);
  }
  if (!Number.isSafeInteger(count) || (count as number) < 0) {
    throw new PickleError(`says that storage ${key} has ${describeValue(count)} values`);
  }
  const itemBytes = type.dtype === null ? 1 : DTYPE_BYTES[type.dtype];
  const part = viewed(id instanceof PickleTuple ? id.items[5] : null, itemBytes);
  const [begin, bytes] = part ?? [0, (count as number) * itemBytes];
  return new TorchStorage(key, type.dtype, begin, bytes);
}

/** Opens the zip file that `torch.save` writes. @throws Error or PickleError saying what is wrong with it */
export async function readArchive(file: FileReader): Promise<TorchFile> {
  const entries = new Map((await zipDirectory(file)).map((entry) => [entry.name, entry]));
  const pickle = [...entries.keys()].find((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickle === undefined) throw new Error('it is a zip file, but there is no data.pkl in it');
  const folder = pickle.slice(0, -'data.pkl'.length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw new Error(
      'it is a TorchScript program; save the weights alone: torch.save(model.state_dict(), ...)',
    );
  }
  await checkByteOrder(file, entries.get(`${folder}byteorder`));
  const { size } = entries.get(pickle)!;
  if (size > LONGEST_PICKLE) throw new Error(`its data.pkl has ${size} bytes`);
  const root = unpickle(new PickleInput(await readStoredEntry(file, entries.get(pickle)!)), {
    globals: TORCH_GLOBALS,
    persistent: (id) => storageOf(id, () => null),
  });
  const bytesOf = async (key: string): Promise<Uint8Array> => {
    const entry = entries.get(`${folder}data/${key}`);
    if (!entry) throw new Error(`storage ${key} is missing in it`);
    return readStoredEntry(file, entry);
  };
  return { format: 'zip', root, bytesOf };
}

async function checkByteOrder(file: FileReader, entry: ZipEntry | undefined): Promise<void> {
  if (!entry || entry.size > 16) return;
  const order = (await readStoredEntry(file, entry)).toString('latin1').trim();
  if (order !== 'little') throw new Error(`its numbers are ${order}-endian; save it on another machine`);
}
