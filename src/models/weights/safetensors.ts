// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { EXIT_CODES, UserError } from '../../errors.js';
import { FileReader } from '../../file_reader.js';
import { errorCode, writeFileAtomicSync } from '../../files.js';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from './half.js';
import type { SafetensorsHeader } from './safetensors_header.js';
import { DTYPE_BYTES, headerEnd, parseHeader } from './safetensors_header.js';

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** Names of the stored types. F16 and BF16 are widened to float32 when read; BOOL is a byte, 0 or 1. */
export type TensorDtype = keyof typeof DTYPE_BYTES;

export interface StoredTensor {
  /** Type in the file; `data` of an F16 or BF16 tensor is a Float32Array. */
  dtype: TensorDtype;
  shape: number[];
  /** Row-major. */
  data: TensorData;
}

/** Tensors by name, in the order of the file's header, and the file's free text. */
export class TensorFile extends Map<string, StoredTensor> {
  constructor(
    /** Where it came from, for messages. */
    readonly source: string,
    readonly metadata: Record<string, string> = {},
  ) {
    super();
  }
}

export interface WriteOptions {
  /** Free text kept in the header. */
  metadata?: Record<string, string>;
  /** How float32 tensors are stored (default F32); halves are rounded to nearest, ties to even. */
  dtype?: 'F32' | 'F16' | 'BF16';
}

/** A tensor to be written; its stored type follows from the array unless `dtype` says BOOL. */
export interface TensorToWrite {
  shape: readonly number[];
  data: TensorData;
  dtype?: TensorDtype;
}

const READERS: Record<TensorDtype, (bytes: Uint8Array) => TensorData> = {
  F64: (bytes) => new Float64Array(...aligned(bytes, 8)),
  F32: (bytes) => new Float32Array(...aligned(bytes, 4)),
  F16: (bytes) => float16ToFloat32(new Uint16Array(...aligned(bytes, 2))),
  BF16: (bytes) => bfloat16ToFloat32(new Uint16Array(...aligned(bytes, 2))),
  I64: (bytes) => new BigInt64Array(...aligned(bytes, 8)),
  U64: (bytes) => new BigUint64Array(...aligned(bytes, 8)),
  I32: (bytes) => new Int32Array(...aligned(bytes, 4)),
  U32: (bytes) => new Uint32Array(...aligned(bytes, 4)),
  I16: (bytes) => new Int16Array(...aligned(bytes, 2)),
  U16: (bytes) => new Uint16Array(...aligned(bytes, 2)),
  I8: (bytes) => new Int8Array(...aligned(bytes, 1)),
  U8: (bytes) => new Uint8Array(...aligned(bytes, 1)),
  BOOL: (bytes) => new Uint8Array(...aligned(bytes, 1)),
};

/** The values that bytes of a file hold; a view of them where their place in memory allows it. */
export function decodeValues(dtype: TensorDtype, bytes: Uint8Array): TensorData {
  return READERS[dtype](bytes);
}

/**
 * Reads a whole `.safetensors` file. Every statement of its header is checked against the file.
 * Format: https://github.com/huggingface/safetensors
 *
 * @throws UserError (exit code `checkpoint`) naming the file and the tensor if anything is amiss
 */
export async function readSafetensors(path: string): Promise<TensorFile> {
  try {
    return await FileReader.using(path, readOpened);
  } catch (error) {
    return errorCode(error) === null ? Promise.reject(error) : cannotRead(path, error);
  }
}

/** Reads tensor by tensor: a file may be larger than a buffer can be. */
async function readOpened(reader: FileReader): Promise<TensorFile> {
  const { path, size } = reader;
  const head = await reader.read(0, Math.min(size, 10));
  const { entries, metadata, dataStart } = parseHeader(
    await reader.read(0, headerEnd(head, path, size)),
    path,
    size,
  );
  const file = new TensorFile(path, metadata);
  for (const { name, dtype, shape, begin, end } of entries) {
    const data = decodeValues(dtype, await reader.read(dataStart + begin, end - begin));
    file.set(name, { dtype, shape, data });
  }
  return file;
}

/** As `readSafetensors`, at once. */
export function readSafetensorsSync(path: string): TensorFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return cannotRead(path, error);
  }
  return parseSafetensors(bytes, path);
}

function cannotRead(path: string, error: unknown): never {
  const code = (error as NodeJS.ErrnoException).code;
  const reason = code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
  throw new UserError(`cannot read weights ${path}: ${reason}`, EXIT_CODES.checkpoint, { cause: error });
}

/**
 * Reads the bytes of a safetensors file.
 *
 * @param source what messages call it
 */
export function parseSafetensors(bytes: Uint8Array, source: string): TensorFile {
  const header: SafetensorsHeader = parseHeader(bytes, source);
  const file = new TensorFile(source, header.metadata);
  for (const { name, dtype, shape, begin, end } of header.entries) {
    const data = decodeValues(dtype, bytes.subarray(header.dataStart + begin, header.dataStart + end));
    file.set(name, { dtype, shape, data });
  }
  return file;
}

/** Arguments of a typed array over these bytes: a view where alignment allows, else a copy. */
function aligned(bytes: Uint8Array, size: number): [ArrayBuffer, number, number] {
  const fits = bytes.byteOffset % size === 0 && bytes.buffer instanceof ArrayBuffer;
  const source = fits ? bytes : Uint8Array.from(bytes);
  return [source.buffer as ArrayBuffer, source.byteOffset, source.byteLength / size];
}

// ---- Writing ----

/**
 * Writes a safetensors file atomically. The same tensors give the same bytes: wide types come first, then by name.
 *
 * @param tensors any iterable of names and tensors, such as a Map
 * @throws UserError if a value does not fit the asked type, RangeError if data and shape disagree
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, TensorToWrite]>,
  options: WriteOptions = {},
): void {
  writeFileAtomicSync(path, encodeSafetensors(tensors, options));
}

/** The pieces of a safetensors file, to be written one after the other. */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, TensorToWrite]>,
  options: WriteOptions = {},
): Uint8Array[] {
  const prepared = [...tensors].map(([name, tensor]) => prepare(name, tensor, options.dtype ?? 'F32'));
  prepared.sort(
    (a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const header: [string, unknown][] = [];
  if (options.metadata) header.push(['__metadata__', options.metadata]);
  let offset = 0;
  for (const { name, dtype, shape, bytes } of prepared) {
    header.push([name, { dtype, shape, data_offsets: [offset, offset + bytes.byteLength] }]);
    offset += bytes.byteLength;
  }
  const names = new Set(header.map(([name]) => name));
  if (names.size !== header.length)
    throw new RangeError('[encodeSafetensors] expected distinct tensor names');
  let text = Buffer.from(headerText(header));
  const padding = (8 - (text.byteLength % 8)) % 8;
  text = Buffer.concat([text, Buffer.alloc(padding, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  return [length, text, ...prepared.map(({ bytes }) => bytes)];
}

/** JSON by hand at the top level: an object would reorder names that look like numbers. */
function headerText(header: [string, unknown][]): string {
  return `{${header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}

interface Prepared {
  name: string;
  dtype: TensorDtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

function prepare(name: string, tensor: TensorToWrite, floatType: 'F32' | 'F16' | 'BF16'): Prepared {
  const { shape, data } = tensor;
  const size = shape.reduce((product, n) => product * n, 1);
  if (size !== data.length) {
    throw new RangeError(
      `[encodeSafetensors] expected ${size} values for ${name} of shape [${shape}] but received ${data.length}`,
    );
  }
  if (data instanceof Float32Array && floatType !== 'F32') {
    const halves = floatType === 'F16' ? toFloat16(name, data) : float32ToBfloat16(data);
    return { name, dtype: floatType, shape, bytes: asBytes(halves) };
  }
  const boolean = tensor.dtype === 'BOOL' && data instanceof Uint8Array;
  return { name, dtype: boolean ? 'BOOL' : storedType(data), shape, bytes: asBytes(data) };
}

function toFloat16(name: string, data: Float32Array): Uint16Array {
  const halves = float32ToFloat16(data);
  const lost = halves.findIndex((h, i) => (h & 0x7fff) === 0x7c00 && Number.isFinite(data[i]));
  if (lost >= 0) {
    throw new UserError(
      `tensor ${name} holds ${data[lost]}, beyond half precision (65504); store it as BF16 or F32`,
      EXIT_CODES.checkpoint,
    );
  }
  return halves;
}

function asBytes(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function storedType(data: TensorData): TensorDtype {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof BigInt64Array) return 'I64';
  if (data instanceof BigUint64Array) return 'U64';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Uint32Array) return 'U32';
  if (data instanceof Int16Array) return 'I16';
  if (data instanceof Uint16Array) return 'U16';
  return data instanceof Int8Array ? 'I8' : 'U8';
}
