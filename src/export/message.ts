// SPDX-License-Identifier: Apache-2.0
import { type Encoded, field, type ReadField, readFields, readPacked } from '../protobuf.js';

/** How one value of a field is written. */
export type Scalar = 'int' | 'bool' | 'float' | 'double' | 'text' | 'bytes';

/** A field of a message: its number, and what it holds. */
export interface FieldSpec {
  number: number;
  /** A scalar, or the message it holds (late, so that messages may hold each other). */
  of: Scalar | (() => MessageSpec<object>);
  /** `many` is an array, `map` a Map from text; default one value or none. */
  count?: 'many' | 'map';
}

/** The fields of a message by the names of `T`; what is not listed is dropped when read. */
export type MessageSpec<T extends object> = { readonly [K in keyof Required<T>]: FieldSpec };

type Loose = Record<string, unknown>;

/** `message` in protocol buffers' wire format. Fields that are undefined are left out. */
export function encode<T extends object>(spec: MessageSpec<T>, message: T): Uint8Array {
  return Buffer.concat(encodeParts(spec as MessageSpec<object>, message as Loose));
}

function encodeParts(spec: MessageSpec<object>, message: Loose): Encoded[] {
  const parts: Encoded[] = [];
  for (const [name, { number, of, count }] of Object.entries(spec as Record<string, FieldSpec>)) {
    const value = message[name];
    if (value === undefined) continue;
    if (count === 'map') {
      for (const [key, item] of value as Map<string, unknown>) {
        parts.push(field.message(number, field.text(1, key), encodeOne(2, of, item)));
      }
    } else if (count === 'many') {
      for (const item of value as readonly unknown[]) parts.push(encodeOne(number, of, item));
    } else {
      parts.push(encodeOne(number, of, value));
    }
  }
  return parts;
}

function encodeOne(number: number, of: FieldSpec['of'], value: unknown): Encoded {
  if (typeof of === 'function') return field.message(number, ...encodeParts(of(), value as Loose));
  switch (of) {
    case 'int':
      return field.integer(number, value as number);
    case 'bool':
      return field.integer(number, value ? 1 : 0);
    case 'float':
      return field.float(number, value as number);
    case 'double':
      return field.double(number, value as number);
    case 'text':
      return field.text(number, value as string);
    case 'bytes':
      return field.bytes(number, value as Uint8Array);
  }
}

/**
 * A message from its wire format. Arrays and maps are always there; other fields only where they were written.
 * @throws Error if it is cut short
 */
export function decode<T extends object>(spec: MessageSpec<T>, bytes: Uint8Array): T {
  const fields = Object.entries(spec as Record<string, FieldSpec>);
  const message: Loose = {};
  for (const [name, { count }] of fields) {
    if (count) message[name] = count === 'map' ? new Map() : [];
  }
  const byNumber = new Map(fields.map(([name, of]) => [of.number, { name, ...of }]));
  for (const part of readFields(bytes)) {
    const known = byNumber.get(part.number);
    if (!known) continue;
    const { name, of, count } = known;
    if (count === 'map') addEntry(message[name] as Map<string, unknown>, of, part.bytes);
    else if (count === 'many') (message[name] as unknown[]).push(...decodeMany(of, part));
    else message[name] = decodeOne(of, part);
  }
  return message as T;
}

function addEntry(map: Map<string, unknown>, of: FieldSpec['of'], bytes: Uint8Array): void {
  let key = '';
  let value = typeof of === 'function' ? decode(of(), NO_BYTES) : undefined;
  for (const part of readFields(bytes)) {
    if (part.number === 1) key = text(part.bytes);
    if (part.number === 2) value = decodeOne(of, part) as object;
  }
  map.set(key, value);
}

const NO_BYTES = new Uint8Array(0);

/** A repeated field's values: one, or several packed together. */
function decodeMany(of: FieldSpec['of'], part: ReadField): unknown[] {
  const packed = part.wire === 2;
  if (packed && (of === 'int' || of === 'bool')) {
    return readPacked(part.bytes).map((integer) => decodeOne(of, { ...part, integer }));
  }
  if (packed && (of === 'float' || of === 'double')) {
    const size = of === 'float' ? 4 : 8;
    return Array.from({ length: part.bytes.length / size }, (_, i) =>
      decodeOne(of, { ...part, bytes: part.bytes.subarray(i * size, (i + 1) * size) }),
    );
  }
  return [decodeOne(of, part)];
}

function decodeOne(of: FieldSpec['of'], part: ReadField): unknown {
  if (typeof of === 'function') return decode(of(), part.bytes);
  const { bytes } = part;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (of) {
    case 'int':
      return Number(BigInt.asIntN(64, part.integer));
    case 'bool':
      return part.integer !== 0n;
    case 'float':
      return view.getFloat32(0, true);
    case 'double':
      return view.getFloat64(0, true);
    case 'text':
      return text(bytes);
    case 'bytes':
      return bytes;
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
