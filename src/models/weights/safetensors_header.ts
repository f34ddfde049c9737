// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';

/** Bytes per value of the types that are read and written. */
export const DTYPE_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export interface HeaderEntry {
  name: string;
  dtype: keyof typeof DTYPE_BYTES;
  shape: number[];
  /** First byte after `dataStart`. */
  begin: number;
  /** Byte after the last one. */
  end: number;
}

export interface SafetensorsHeader {
  entries: HeaderEntry[];
  metadata: Record<string, string>;
  /** Where the tensors' bytes begin in the file. */
  dataStart: number;
}

/** The reference's own limit; a longer header is a wrong file, not a large model. */
const LONGEST_HEADER = 100_000_000;

/**
 * Reads and checks everything a safetensors file says about itself.
 * @param bytes the file, or its beginning up to `headerEnd`
 * @param size of the whole file
 */
export function parseHeader(bytes: Uint8Array, source: string, size = bytes.byteLength): SafetensorsHeader {
  const { text, dataStart } = headerText(bytes, source, size);
  const duplicate = firstDuplicateKey(text);
  if (duplicate !== null) fail(source, `the name ${JSON.stringify(duplicate)} stands twice in its header`);
  const raw = parseObject(text, source);
  const metadata = checkMetadata(raw.__metadata__, source);
  const entries = Object.entries(raw)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => checkEntry(name, value, source));
  checkCoverage(entries, size - dataStart, source);
  return { entries, metadata, dataStart };
}

function fail(source: string, what: string): never {
  throw new UserError(
    `${source} is not a sound safetensors file: ${what}; get or write the file again`,
    EXIT_CODES.checkpoint,
  );
}

/** Where the header ends and the tensors begin. @param head at least 10 bytes where the file has as many */
export function headerEnd(head: Uint8Array, source: string, size: number): number {
  if (size === 0) fail(source, 'it is empty (0 bytes)');
  if (size < 10) fail(source, `it has only ${size} bytes`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = view.getBigUint64(0, true);
  if (head[8] !== 0x7b /* { */) fail(source, 'it does not begin with a header');
  if (length > LONGEST_HEADER) fail(source, `its header claims ${length} bytes`);
  const end = 8 + Number(length);
  if (end > size) {
    fail(source, `its header claims ${length} bytes, but the file has ${size} (truncated?)`);
  }
  return end;
}

function headerText(bytes: Uint8Array, source: string, size: number): { text: string; dataStart: number } {
  const dataStart = headerEnd(bytes, source, size);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart));
    return { text, dataStart };
  } catch {
    return fail(source, 'its header is not UTF-8 text');
  }
}

function parseObject(text: string, source: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail(source, `its header is not JSON (${(error as Error).message})`);
  }
  if (!isRecord(value)) fail(source, 'its header is not a JSON object');
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The first key that stands twice in one object of a JSON text. JSON.parse would keep the last silently.
 * A string followed by a colon is a key; braces open and close the objects that keys belong to.
 */
function firstDuplicateKey(text: string): string | null {
  const open: Set<string>[] = [];
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/g)) {
    const token = match[0];
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (match[1] !== undefined) {
      const key = token.slice(0, token.length - match[1].length);
      const seen = open.at(-1);
      if (seen?.has(key)) return key.slice(1, -1);
      seen?.add(key);
    }
  }
  return null;
}

function checkMetadata(value: unknown, source: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    fail(source, 'its metadata is not a map of texts');
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, source: string): HeaderEntry {
  if (!isRecord(value)) fail(source, `tensor ${name} has no description`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !(dtype in DTYPE_BYTES)) {
    const known = Object.keys(DTYPE_BYTES).join(' ');
    throw new UserError(
      `${source}: tensor ${name} has the type ${dtype}, which is not supported (known: ${known}); convert it first`,
      EXIT_CODES.checkpoint,
    );
  }
  if (!isCounts(shape)) fail(source, `tensor ${name} has the shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    fail(source, `tensor ${name} has the data offsets ${JSON.stringify(offsets)}`);
  }
  const type = dtype as keyof typeof DTYPE_BYTES;
  const needed = shape.reduce((product, n) => product * n, 1) * DTYPE_BYTES[type];
  const [begin, end] = offsets as [number, number];
  if (needed !== end - begin) {
    fail(
      source,
      `tensor ${name} (${type} [${shape}]) needs ${needed} bytes but its offsets span ${end - begin}`,
    );
  }
  return { name, dtype: type, shape, begin, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** Tensors must cover the data exactly: no overlap, no gap, nothing beyond the end. */
function checkCoverage(entries: HeaderEntry[], dataBytes: number, source: string): void {
  let covered = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) fail(source, `tensor ${name} overlaps another one`);
    if (begin > covered) fail(source, `${begin - covered} unused bytes precede tensor ${name}`);
    if (end > dataBytes) {
      fail(
        source,
        `tensor ${name} ends at byte ${end} of the data, but there are only ${dataBytes} (truncated?)`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) fail(source, `${dataBytes - covered} bytes follow the last tensor`);
}
