// SPDX-License-Identifier: Apache-2.0
import { createReadStream, createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { FileReader } from './file_reader.js';

/** One file of a zip archive, from its central directory (PKWARE APPNOTE 6.3.3, section 4.3.12). */
export interface ZipEntry {
  name: string;
  method: number;
  crc: number;
  compressedSize: number;
  size: number;
  headerOffset: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;

/** Methods of storing that are known. */
export const ZIP_METHODS = { stored: 0, deflated: 8 } as const;

/** Stands where a number does not fit into 32 bits; the number itself is further on. */
const LARGE = 0xffffffff;

/** The archive's files. Throws if it is not a whole zip file (a download cut short has no directory). */
export function readZipDirectory(path: string): Promise<ZipEntry[]> {
  return FileReader.using(path, zipDirectory);
}

/** The same of an open file. */
export async function zipDirectory(file: FileReader): Promise<ZipEntry[]> {
  const tailLength = Math.min(file.size, 65_557);
  const tail = await file.read(file.size - tailLength, tailLength);
  let end = tail.length - 22;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw new Error(`${file.path} is not a complete zip file`);
  const located = end >= 20 && tail.readUInt32LE(end - 20) === LOCATOR64_SIGNATURE;
  const large = located ? await file.read(Number(tail.readBigUInt64LE(end - 12)), 56) : null;
  if (large && large.readUInt32LE(0) !== END64_SIGNATURE)
    throw new Error(`${file.path} has a broken zip directory`);
  const count = large ? Number(large.readBigUInt64LE(32)) : tail.readUInt16LE(end + 10);
  const length = large ? Number(large.readBigUInt64LE(40)) : tail.readUInt32LE(end + 12);
  const start = large ? Number(large.readBigUInt64LE(48)) : tail.readUInt32LE(end + 16);
  return parseDirectory(await file.read(start, length), count, file.path);
}

function parseDirectory(directory: Buffer, count: number, path: string): ZipEntry[] {
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL_SIGNATURE) {
      throw new Error(`${path} has a broken zip directory`);
    }
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const large = largeNumbers(directory.subarray(nameEnd, extraEnd));
    const number = (place: number) => {
      const small = directory.readUInt32LE(at + place);
      return small === LARGE ? (large.shift() ?? small) : small;
    };
    // In the order in which the large ones follow each other.
    const size = number(24);
    const compressedSize = number(20);
    entries.push({
      name: directory.toString('utf8', at + 46, nameEnd),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressedSize,
      size,
      headerOffset: number(42),
    });
    at = extraEnd + directory.readUInt16LE(at + 32);
  }
  return entries;
}

/** Numbers of 64 bits in an entry's extra fields (section 4.5.3). */
function largeNumbers(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2));
    return Array.from({ length: field.length >> 3 }, (_, i) => Number(field.readBigUInt64LE(8 * i)));
  }
  return [];
}

/** Where an entry's bytes begin. */
async function dataStart(file: FileReader, { name, headerOffset }: ZipEntry): Promise<number> {
  const header = await file.read(headerOffset, 30);
  if (header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw new Error(`${file.path} has a broken entry ${name}`);
  return headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
}

/**
 * The bytes of an entry that is stored as it is. Its checksum is compared where it has one.
 * @throws Error if it is compressed, reaches beyond the file or was changed
 */
export async function readStoredEntry(file: FileReader, entry: ZipEntry): Promise<Buffer> {
  const { name, method, size, compressedSize, crc } = entry;
  if (method !== ZIP_METHODS.stored || size !== compressedSize) {
    throw new Error(`${file.path}: ${name} is compressed, it must be stored as it is`);
  }
  const bytes = await file.read(await dataStart(file, entry), size);
  if (crc !== 0 && crc32(bytes) !== crc) throw new Error(`${file.path}: ${name} is corrupt`);
  return bytes;
}

/** Unpacks one entry to `folder`/`name`, checking its size and CRC. */
async function extractEntry(archive: string, entry: ZipEntry, folder: string, name: string): Promise<void> {
  const target = join(folder, name);
  mkdirSync(dirname(target), { recursive: true });
  const start = await FileReader.using(archive, (file) => dataStart(file, entry));
  let crc = 0;
  let size = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      crc = crc32(chunk, crc);
      size += chunk.length;
      done(null, chunk);
    },
  });
  if (entry.size === 0) {
    writeFileSync(target, '');
  } else {
    const end = start + entry.compressedSize - 1;
    const source = createReadStream(archive, { start, end, highWaterMark: 1 << 20 });
    const sink = createWriteStream(target);
    if (entry.method === ZIP_METHODS.deflated)
      await pipeline(source, createInflateRaw({ chunkSize: 1 << 18 }), check, sink);
    else if (entry.method === ZIP_METHODS.stored) await pipeline(source, check, sink);
    else throw new Error(`${archive}: ${entry.name} is compressed with unknown method ${entry.method}`);
  }
  if (size !== entry.size || crc !== entry.crc) throw new Error(`${archive}: ${entry.name} is corrupt`);
}

/**
 * Unpacks the entries that `rename` keeps.
 * @param rename gives the path inside `folder` for an entry's name, or null to leave it out.
 * @returns size in bytes and CRC-32 by path.
 */
export async function unpackZip(
  archive: string,
  folder: string,
  rename: (name: string) => string | null,
): Promise<Record<string, { size: number; crc: number }>> {
  const files: Record<string, { size: number; crc: number }> = {};
  const queue: [ZipEntry, string][] = [];
  for (const entry of await readZipDirectory(archive)) {
    const name = entry.name.endsWith('/') ? null : rename(entry.name);
    if (name === null) continue;
    if (name.startsWith('/') || normalize(name).startsWith('..'))
      throw new Error(`${archive} has an unsafe path ${name}`);
    queue.push([entry, name]);
    files[name] = { size: entry.size, crc: entry.crc };
  }
  // Largest first: the one big library is inflated while the thousands of headers go by.
  queue.sort((a, b) => b[0].size - a[0].size);
  let next = 0;
  const worker = async () => {
    for (let job = queue[next++]; job !== undefined; job = queue[next++]) {
      await extractEntry(archive, job[0], folder, job[1]);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return files;
}

// ---- Writing ----

/** A file to be put into an archive as it is. */
export interface FileToStore {
  name: string;
  bytes: Uint8Array;
}

/** Contents begin at multiples of this many bytes, so that programs can map them into memory. */
const ALIGNMENT = 64;

/** Marks bytes of an extra field that mean nothing. */
const PADDING_FIELD = 0x4246;

/**
 * A zip archive of uncompressed files, as pieces to be written one after the other.
 * @throws RangeError if it would be larger than a plain zip file can be (4 GiB)
 */
export function encodeStoredZip(files: readonly FileToStore[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  const add = (piece: Uint8Array) => {
    pieces.push(piece);
    position += piece.byteLength;
  };
  for (const { name, bytes } of files) {
    const nameBytes = Buffer.from(name);
    const before = position + 30 + nameBytes.length + 4;
    const padding = 4 + ((ALIGNMENT - (before % ALIGNMENT)) % ALIGNMENT);
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt32LE(crc32(bytes), 10);
    facts.writeUInt32LE(checkedSize(bytes.byteLength), 14);
    facts.writeUInt32LE(bytes.byteLength, 18);
    facts.writeUInt16LE(nameBytes.length, 22);
    const central = Buffer.alloc(46 + nameBytes.length);
    central.writeUInt32LE(CENTRAL_SIGNATURE, 0);
    central.writeUInt16LE(20, 4);
    facts.copy(central, 6);
    central.writeUInt32LE(checkedSize(position), 42);
    nameBytes.copy(central, 46);
    directory.push(central);
    const local = Buffer.alloc(30 + nameBytes.length + padding);
    local.writeUInt32LE(LOCAL_SIGNATURE, 0);
    facts.copy(local, 4);
    local.writeUInt16LE(padding, 28);
    nameBytes.copy(local, 30);
    local.writeUInt16LE(PADDING_FIELD, 30 + nameBytes.length);
    local.writeUInt16LE(padding - 4, 32 + nameBytes.length);
    add(local);
    add(bytes);
  }
  const start = position;
  for (const entry of directory) add(entry);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END_SIGNATURE, 0);
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(position - start, 12);
  end.writeUInt32LE(checkedSize(start), 16);
  add(end);
  return pieces;
}

function checkedSize(bytes: number): number {
  if (bytes >= LARGE)
    throw new RangeError(`[encodeStoredZip] expected less than 4 GiB but received ${bytes}`);
  return bytes;
}
