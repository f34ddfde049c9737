// SPDX-License-Identifier: Apache-2.0
import { createReadStream, createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';

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
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;

/** The archive's files. Throws if it is not a whole zip file (a download cut short has no directory). */
export async function readZipDirectory(path: string): Promise<ZipEntry[]> {
  const file = await open(path, 'r');
  try {
    const size = (await file.stat()).size;
    const tail = await readAt(file, Math.max(0, size - 65_557), Math.min(size, 65_557));
    let end = tail.length - 22;
    while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
    if (end < 0) throw new Error(`${path} is not a complete zip file`);
    const count = tail.readUInt16LE(end + 10);
    const directory = await readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
    return parseDirectory(directory, count, path);
  } finally {
    await file.close();
  }
}

function parseDirectory(directory: Buffer, count: number, path: string): ZipEntry[] {
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL_SIGNATURE) {
      throw new Error(`${path} has a broken zip directory`);
    }
    const nameLength = directory.readUInt16LE(at + 28);
    entries.push({
      name: directory.toString('utf8', at + 46, at + 46 + nameLength),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressedSize: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error('the zip file is cut short');
  return buffer;
}

/** Unpacks one entry to `folder`/`name`, checking its size and CRC. */
async function extractEntry(archive: string, entry: ZipEntry, folder: string, name: string): Promise<void> {
  const target = join(folder, name);
  mkdirSync(dirname(target), { recursive: true });
  const file = await open(archive, 'r');
  let start: number;
  try {
    const header = await readAt(file, entry.headerOffset, 30);
    if (header.readUInt32LE(0) !== LOCAL_SIGNATURE)
      throw new Error(`${archive} has a broken entry ${entry.name}`);
    start = entry.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  } finally {
    await file.close();
  }
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
    if (entry.method === 8) await pipeline(source, createInflateRaw({ chunkSize: 1 << 18 }), check, sink);
    else if (entry.method === 0) await pipeline(source, check, sink);
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
