// SPDX-License-Identifier: Apache-2.0
import type { HostTensor, TfDtypeName } from '../engine/index.js';
import { arrayFor } from '../export/index.js';
import { RequestError } from './request_error.js';

/** Whole-number types and their limits. 64-bit numbers are as exact as JSON's. */
const LIMITS: Readonly<Partial<Record<TfDtypeName, readonly [number, number]>>> = {
  int8: [-128, 127],
  int16: [-32768, 32767],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
};

/** Nested deeper than any tensor. */
const MOST_SIDES = 16;

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * A tensor from its JSON form: nested lists of numbers, booleans, texts, or `{ "b64": "..." }` for bytes.
 * @param name how errors call it
 * @throws RequestError (400) for lists of uneven lengths and for values that the type cannot hold
 */
export function tensorFromJson(name: string, dtype: TfDtypeName, json: unknown): HostTensor {
  const shape = shapeOfJson(name, json);
  const count = shape.reduce((product, side) => product * side, 1);
  const texts: Uint8Array[] = [];
  const values = dtype === 'string' ? null : arrayFor(dtype, count);
  let at = 0;
  const visit = (item: unknown, depth: number): void => {
    if (depth < shape.length) {
      if (!Array.isArray(item) || item.length !== shape[depth]) throw uneven(name);
      for (const inner of item) visit(inner, depth + 1);
    } else if (Array.isArray(item)) throw uneven(name);
    else if (values === null) texts.push(textFromJson(name, item));
    else if (values instanceof BigInt64Array) values[at++] = BigInt(numberFromJson(name, dtype, item));
    else values[at++] = numberFromJson(name, dtype, item);
  };
  visit(json, 0);
  return { dtype, shape, values: values ?? texts };
}

function shapeOfJson(name: string, json: unknown): number[] {
  const shape: number[] = [];
  for (let item = json; Array.isArray(item); item = item[0]) {
    if (shape.length === MOST_SIDES) throw new RequestError(400, `input "${name}" is nested too deeply`);
    shape.push(item.length);
    if (item.length === 0) break;
  }
  return shape;
}

function uneven(name: string): RequestError {
  return new RequestError(400, `input "${name}" is no tensor: its lists differ in length or depth`);
}

function numberFromJson(name: string, dtype: TfDtypeName, item: unknown): number {
  if (dtype === 'bool') {
    if (typeof item === 'boolean') return Number(item);
    throw new RequestError(400, `input "${name}" takes true and false, but holds ${show(item)}`);
  }
  const limits = LIMITS[dtype];
  const good = typeof item === 'number' && Number.isFinite(item) && (!limits || Number.isInteger(item));
  if (!good) {
    const kind = limits ? 'whole numbers' : 'numbers';
    throw new RequestError(400, `input "${name}" takes ${kind} (${dtype}), but holds ${show(item)}`);
  }
  if (limits && (item < limits[0] || item > limits[1])) {
    throw new RequestError(
      400,
      `input "${name}" takes ${dtype} from ${limits[0]} to ${limits[1]}, but holds ${item}`,
    );
  }
  return item;
}

function textFromJson(name: string, item: unknown): Uint8Array {
  if (typeof item === 'string') return Buffer.from(item);
  if (!isBase64(item)) {
    throw new RequestError(400, `input "${name}" takes texts or {"b64": "..."}, but holds ${show(item)}`);
  }
  if (!BASE64.test(item.b64)) throw new RequestError(400, `input "${name}" holds a "b64" that is not base64`);
  return Buffer.from(item.b64, 'base64');
}

/** Whether a value is `{ "b64": "..." }`, that is, bytes. */
export function isBase64(item: unknown): item is { b64: string } {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return false;
  const { b64, ...rest } = item as Record<string, unknown>;
  return typeof b64 === 'string' && Object.keys(rest).length === 0;
}

function show(item: unknown): string {
  const text = JSON.stringify(item) ?? String(item);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

/**
 * The JSON text of a tensor.
 * @param name outputs whose names end in `_bytes` are written as `{ "b64": "..." }`
 * @param from first element @param shape of the part that is written
 * @throws RequestError (500) for NaN and infinity, which JSON cannot hold
 */
export function tensorToJson(
  name: string,
  { dtype, values }: HostTensor,
  shape: readonly number[],
  from = 0,
): string {
  let at = from;
  const element = elementWriter(name, dtype, values);
  const write = (depth: number): string => {
    if (depth === shape.length) return element(at++);
    return `[${Array.from({ length: shape[depth]! }, () => write(depth + 1)).join(',')}]`;
  };
  return write(0);
}

function elementWriter(name: string, dtype: TfDtypeName, values: HostTensor['values']) {
  if (dtype === 'string') {
    const texts = values as Uint8Array[];
    const bytes = name.endsWith('_bytes');
    return (i: number) => {
      const text = Buffer.from(texts[i]!);
      return bytes ? `{"b64":"${text.toString('base64')}"}` : JSON.stringify(text.toString('utf8'));
    };
  }
  if (dtype === 'bool') return (i: number) => String((values as Uint8Array)[i] !== 0);
  if (values instanceof BigInt64Array) return (i: number) => String(values[i]);
  const numbers = values as Float32Array;
  return (i: number) => {
    const value = numbers[i]!;
    if (!Number.isFinite(value))
      throw new RequestError(500, `output "${name}" holds ${value}, which JSON cannot`);
    return dtype === 'float32' ? float32Text(value) : String(value);
  };
}

/** A short text that reads back as the same 32-bit float. */
function float32Text(value: number): string {
  for (const digits of [7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}
