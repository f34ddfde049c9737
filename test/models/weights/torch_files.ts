// SPDX-License-Identifier: Apache-2.0
import { zipSync } from 'fflate';

/** What a piece of a pickle is written as. */
type Piece = number | string | Buffer | readonly Piece[];

/** Bytes of a pickle: numbers are opcodes or bytes, texts their characters. */
export function bytes(...pieces: readonly Piece[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => {
      if (Buffer.isBuffer(piece)) return piece;
      if (typeof piece === 'number') return Buffer.from([piece]);
      return typeof piece === 'string' ? Buffer.from(piece, 'latin1') : bytes(...piece);
    }),
  );
}

/** A number of 4 bytes, little-endian. */
export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

/** A number of 8 bytes, little-endian. */
export function u64(value: number | bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

/** BINUNICODE */
export const text = (value: string): Buffer => bytes('X', u32(Buffer.byteLength(value)), Buffer.from(value));

/** BININT, or LONG1 where that is too small. */
export const int = (value: number): Buffer => {
  if (value < 2 ** 31) return bytes('J', u32(value));
  return bytes(0x8a, 9, u64(value), 0);
};

export const global = (module: string, name: string): Buffer => bytes(`c${module}\n${name}\n`);

export const tuple = (...items: readonly Buffer[]): Buffer => bytes('(', ...items, 't');

/** A whole pickle of protocol 2. */
export const pickle = (...pieces: readonly Piece[]): Buffer => bytes(0x80, 2, ...pieces, '.');

export interface FakeTensor {
  name?: string;
  type?: string;
  key?: string;
  count?: number;
  offset?: number;
  shape?: readonly number[];
  strides?: readonly number[];
}

/** The tensor `_rebuild_tensor_v2` makes; by default four floats of storage 0. */
export function tensor({
  type = 'FloatStorage',
  key = '0',
  count = 4,
  offset = 0,
  ...rest
}: FakeTensor = {}): Buffer {
  const { shape = [4], strides = [1] } = rest;
  const id = tuple(text('storage'), global('torch', type), text(key), text('cpu'), int(count));
  const sizes = (values: readonly number[]) => tuple(...values.map(int));
  const args = tuple(bytes(id, 'Q'), int(offset), sizes(shape), sizes(strides), bytes(0x89), bytes('}'));
  return bytes(global('torch._utils', '_rebuild_tensor_v2'), args, 'R');
}

/** A state dict. */
export const stateDict = (tensors: readonly FakeTensor[]): Buffer =>
  bytes('}(', ...tensors.map((one) => bytes(text(one.name ?? 'weight'), tensor(one))), 'u');

/** A zip file as `torch.save` writes it. */
export function torchZip(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = {},
  extra = {},
): Buffer {
  const files: Record<string, Uint8Array> = {
    'archive/data.pkl': data,
    'archive/byteorder': Buffer.from('little'),
    ...extra,
  };
  for (const [key, content] of Object.entries(storages)) files[`archive/data/${key}`] = content;
  return Buffer.from(zipSync(files, { level: 0 }));
}

export const floats = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);
