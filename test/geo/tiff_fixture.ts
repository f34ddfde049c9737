// SPDX-License-Identifier: Apache-2.0
import { deflateSync } from 'node:zlib';

export type SampleType = 'uint8' | 'uint16' | 'int16' | 'uint32' | 'float32' | 'float64';

export interface TiffOptions {
  width: number;
  height: number;
  bands: number;
  type: SampleType;
  value: (x: number, y: number, band: number) => number;
  /** Default: strips of 3 rows. */
  tile?: number;
  planar?: boolean;
  deflate?: boolean;
  bigEndian?: boolean;
  photometric?: number;
  extraSamples?: number[];
  /** Overrides the TIFF sample format (6 = complex). */
  sampleFormat?: number;
  noData?: string;
  tiepoint?: number[];
  scale?: number[];
  transformation?: number[];
  /** Numbers of short keys by code. */
  geoKeys?: Record<number, number>;
  palette?: number[];
  /** A reduced picture after the main one, with its own values. */
  overview?: { width: number; height: number; value: (x: number, y: number, band: number) => number };
}

const BYTES: Record<SampleType, number> = {
  uint8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  float32: 4,
  float64: 8,
};
const SHORT = 3;
const LONG = 4;
const DOUBLE = 12;
const ASCII = 2;
const TYPE_BYTES: Record<number, number> = { [SHORT]: 2, [LONG]: 4, [DOUBLE]: 8, [ASCII]: 1 };

/** The bytes of a small GeoTIFF (TIFF 6.0, GeoTIFF 1.1), written plainly so that readers are tested against the format. */
export function writeTiff(options: TiffOptions): Buffer {
  const pages = [page(options, 0)];
  if (options.overview !== undefined) pages.push(page({ ...options, ...options.overview }, 1));
  const big = options.bigEndian === true;
  const parts: Buffer[] = [Buffer.alloc(8)];
  let offset = 8;
  const pointers: { at: Buffer; position: number }[] = [{ at: parts[0]!, position: 4 }];
  parts[0]!.write(big ? 'MM' : 'II', 0, 'latin1');
  put(parts[0]!, 2, SHORT, 42, big);
  for (const { tags, blocks } of pages) {
    const offsets = blocks.map((block) => {
      const at = offset;
      parts.push(block);
      offset += block.length;
      return at;
    });
    const tiled = options.tile !== undefined;
    tags.push([tiled ? 324 : 273, LONG, offsets]);
    tags.push([tiled ? 325 : 279, LONG, blocks.map((block) => block.length)]);
    if (offset % 2 === 1) {
      parts.push(Buffer.alloc(1));
      offset++;
    }
    const last = pointers.at(-1)!;
    put(last.at, last.position, LONG, offset, big);
    const directory = writeDirectory(tags, offset, big);
    parts.push(directory);
    pointers.push({ at: directory, position: 2 + tags.length * 12 });
    offset += directory.length;
  }
  return Buffer.concat(parts);
}

type Tag = [code: number, type: number, values: number[]];

function page(options: TiffOptions, subfile: number): { tags: Tag[]; blocks: Buffer[] } {
  const { width, height, bands, type } = options;
  const format = options.sampleFormat ?? (type.startsWith('u') ? 1 : type.startsWith('i') ? 2 : 3);
  const tags: Tag[] = [
    [254, LONG, [subfile]],
    [256, LONG, [width]],
    [257, LONG, [height]],
    [258, SHORT, Array.from({ length: bands }, () => BYTES[type] * 8)],
    [259, SHORT, [options.deflate === true ? 8 : 1]],
    [262, SHORT, [options.photometric ?? (bands >= 3 ? 2 : 1)]],
    [277, SHORT, [bands]],
    [284, SHORT, [options.planar === true ? 2 : 1]],
    [339, SHORT, Array.from({ length: bands }, () => format)],
  ];
  if (options.tile === undefined) tags.push([278, LONG, [3]]);
  else tags.push([322, LONG, [options.tile]], [323, LONG, [options.tile]]);
  if (options.extraSamples) tags.push([338, SHORT, options.extraSamples]);
  if (options.palette) tags.push([320, SHORT, options.palette]);
  if (options.scale) tags.push([33550, DOUBLE, options.scale]);
  if (options.tiepoint) tags.push([33922, DOUBLE, options.tiepoint]);
  if (options.transformation) tags.push([34264, DOUBLE, options.transformation]);
  if (options.noData) tags.push([42113, ASCII, [...Buffer.from(`${options.noData}\0`)]]);
  if (options.geoKeys) {
    const keys = Object.entries(options.geoKeys).map(([code, value]) => [Number(code), 0, 1, value]);
    tags.push([34735, SHORT, [1, 1, 0, keys.length, ...keys.flat()]]);
  }
  return { tags, blocks: writeBlocks(options) };
}

function writeBlocks(options: TiffOptions): Buffer[] {
  const { width, height, bands, tile } = options;
  const [blockWidth, blockHeight] = tile === undefined ? [width, 3] : [tile, tile];
  const planes =
    options.planar === true ? Array.from({ length: bands }, (_, b) => [b]) : [[...Array(bands).keys()]];
  const blocks: Buffer[] = [];
  for (const plane of planes) {
    for (let y0 = 0; y0 < height; y0 += blockHeight) {
      for (let x0 = 0; x0 < width; x0 += blockWidth) {
        const rows = tile === undefined ? Math.min(blockHeight, height - y0) : blockHeight;
        blocks.push(writeBlock(options, plane, { x0, y0, columns: blockWidth, rows }));
      }
    }
  }
  return blocks;
}

function writeBlock(
  options: TiffOptions,
  plane: number[],
  { x0, y0, columns, rows }: { x0: number; y0: number; columns: number; rows: number },
): Buffer {
  const size = BYTES[options.type];
  const block = Buffer.alloc(rows * columns * plane.length * size);
  const view = new DataView(block.buffer, block.byteOffset);
  let at = 0;
  for (let y = y0; y < y0 + rows; y++) {
    for (let x = x0; x < x0 + columns; x++) {
      for (const band of plane) {
        const inside = x < options.width && y < options.height;
        putSample(view, at, options.type, inside ? options.value(x, y, band) : 0, options.bigEndian !== true);
        at += size;
      }
    }
  }
  return options.deflate === true ? deflateSync(block) : block;
}

function putSample(view: DataView, at: number, type: SampleType, value: number, little: boolean): void {
  if (type === 'uint8') view.setUint8(at, value);
  else if (type === 'uint16') view.setUint16(at, value, little);
  else if (type === 'int16') view.setInt16(at, value, little);
  else if (type === 'uint32') view.setUint32(at, value, little);
  else if (type === 'float32') view.setFloat32(at, value, little);
  else view.setFloat64(at, value, little);
}

function writeDirectory(tags: Tag[], offset: number, big: boolean): Buffer {
  tags.sort((a, b) => a[0] - b[0]);
  const head = Buffer.alloc(2 + tags.length * 12 + 4);
  put(head, 0, SHORT, tags.length, big);
  const extra: Buffer[] = [];
  let extraAt = offset + head.length;
  tags.forEach(([code, type, values], i) => {
    const at = 2 + i * 12;
    put(head, at, SHORT, code, big);
    put(head, at + 2, SHORT, type, big);
    put(head, at + 4, LONG, values.length, big);
    const size = TYPE_BYTES[type]!;
    const fits = size * values.length <= 4;
    const target = fits ? head : Buffer.alloc(size * values.length);
    values.forEach((value, k) => {
      put(target, (fits ? at + 8 : 0) + k * size, type, value, big);
    });
    if (fits) return;
    put(head, at + 8, LONG, extraAt, big);
    extra.push(target);
    extraAt += target.length;
  });
  return Buffer.concat([head, ...extra]);
}

function put(buffer: Buffer, at: number, type: number, value: number, big: boolean): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  if (type === SHORT) view.setUint16(at, value, !big);
  else if (type === LONG) view.setUint32(at, value, !big);
  else if (type === DOUBLE) view.setFloat64(at, value, !big);
  else view.setUint8(at, value);
}
