// SPDX-License-Identifier: Apache-2.0
import { decodeValues, type StoredTensor, type TensorData } from '../safetensors.js';
import { DTYPE_BYTES } from '../safetensors_header.js';
import type { TorchFile } from './archive.js';
import type { TorchTensor } from './values.js';

/**
 * Copies that tensors may need, beyond the file's own bytes: halves are widened, transposed tensors put in order. A file
 * that shows the same bytes again and again would fill the memory.
 */
const COPY_FACTOR = 8;
const COPY_ALLOWANCE = 64 << 20;

/**
 * Values of tensors, row-major. Only the storages that these tensors look at are read, each once.
 * @param fileBytes size of the file
 * @throws Error naming the tensor that cannot be had
 */
export async function readTensors(
  file: TorchFile,
  tensors: ReadonlyMap<string, TorchTensor>,
  fileBytes: number,
): Promise<Map<string, StoredTensor>> {
  const values = new Map<string, StoredTensor>();
  let read = 0;
  let copied = 0;
  for (const [key, users] of byStorage(tensors)) {
    const names = users.map(([name]) => name);
    const bytes = await file.bytesOf(key).catch((error: Error) => {
      throw new Error(`tensor ${names[0]}: ${error.message}`, { cause: error });
    });
    read += bytes.byteLength;
    // Runs that share bytes of the file would be read over and over.
    if (read > fileBytes) throw new Error(`tensor ${names[0]}: its storage overlaps another one`);
    for (const [name, tensor] of users) {
      const data = valuesOf(name, tensor, bytes);
      if (data.buffer !== bytes.buffer) copied += data.byteLength;
      if (copied > COPY_FACTOR * fileBytes + COPY_ALLOWANCE) {
        throw new Error(`tensor ${name}: with it the tensors take ${copied} bytes of a file of ${fileBytes}`);
      }
      values.set(name, { dtype: tensor.dtype, shape: [...tensor.shape], data });
    }
  }
  // In the order of the file.
  return new Map([...tensors.keys()].map((name) => [name, values.get(name)!]));
}

function byStorage(tensors: ReadonlyMap<string, TorchTensor>): Map<string, [string, TorchTensor][]> {
  const groups = new Map<string, [string, TorchTensor][]>();
  for (const [name, tensor] of tensors) {
    const group = groups.get(tensor.storage.key) ?? [];
    group.push([name, tensor]);
    groups.set(tensor.storage.key, group);
  }
  return groups;
}

/** @param run all bytes of the run that the tensor's storage lies in */
function valuesOf(
  name: string,
  { storage, dtype, offset, shape, strides }: TorchTensor,
  run: Uint8Array,
): TensorData {
  const { key, begin, bytes } = storage;
  if (begin + bytes > run.byteLength) {
    throw new Error(
      `tensor ${name}: storage ${key} should have ${begin + bytes} bytes, it has ${run.byteLength}`,
    );
  }
  const own = run.subarray(begin, begin + bytes);
  const size = DTYPE_BYTES[dtype];
  const count = shape.reduce((product, n) => product * n, 1);
  if (isDense(shape, strides))
    return decodeValues(dtype, own.subarray(offset * size, (offset + count) * size));
  return decodeValues(dtype, collect(own, size, { count, offset, shape, strides }));
}

/** Whether values follow each other as the shape says; strides of axes of one index mean nothing. */
function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== step) return false;
    step *= shape[axis]!;
  }
  return true;
}

interface View {
  count: number;
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

/** Typed arrays by bytes a value, to move values whatever they mean. */
const RAW = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;

/** The values that a view shows, one after the other. */
function collect(
  bytes: Uint8Array,
  size: 1 | 2 | 4 | 8,
  { count, offset, shape, strides }: View,
): Uint8Array {
  const from = new RAW[size](bytes.slice().buffer);
  const to = new RAW[size](count);
  const index = shape.map(() => 0);
  let at = offset;
  for (let i = 0; i < count; i++) {
    to[i] = from[at]!;
    // The last axis moves on; one that is through starts again and moves the one before.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return new Uint8Array(to.buffer);
}
