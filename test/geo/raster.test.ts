// SPDX-License-Identifier: Apache-2.0

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { openRaster, type RasterOptions, type RgbImage, resampleRgb } from '../../src/geo/index.js';
import { type SampleType, type TiffOptions, writeTiff } from './tiff_fixture.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfgeo-raster-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Any three bytes per pixel, different everywhere. */
const value = (x: number, y: number, band: number): number => (x * 7 + y * 13 + band * 61) % 251;
const base: TiffOptions = { width: 23, height: 17, bands: 3, type: 'uint8', value };

async function readAll(bytes: Buffer, options: RasterOptions = {}): Promise<RgbImage> {
  const raster = await openRaster(bytes, options);
  const image = await raster.read();
  await raster.close();
  return image;
}

function expected(width: number, height: number): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    data[i] = value(pixel % width, Math.floor(pixel / width), i % 3);
  }
  return data;
}

async function failure(promise: Promise<unknown>): Promise<UserError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) {
      expect(error.message).not.toContain('\n');
      return error;
    }
    throw error;
  }
  throw new Error('expected a UserError but nothing was thrown');
}

describe('openRaster on TIFF', () => {
  const layouts: [string, Partial<TiffOptions>][] = [
    ['strips', {}],
    ['tiles', { tile: 16 }],
    ['planar strips', { planar: true }],
    ['planar tiles, deflate', { planar: true, tile: 16, deflate: true }],
    ['big endian', { bigEndian: true, tile: 16 }],
  ];
  it.each(layouts)('reads %s: whole and by window', async (_name, layout) => {
    const raster = await openRaster(writeTiff({ ...base, ...layout }));
    expect([raster.width, raster.height, raster.bands, raster.sampleType]).toEqual([23, 17, 3, 'uint8']);
    expect(raster.describeStretch()).toBeNull();
    const whole = await raster.read();
    expect(whole.data).toEqual(expected(23, 17));
    const part = await raster.read({ x: 5, y: 4, width: 14, height: 12 });
    for (let y = 0; y < 12; y++) {
      const from = ((y + 4) * 23 + 5) * 3;
      expect(part.data.subarray(y * 42, y * 42 + 42)).toEqual(whole.data.subarray(from, from + 42));
    }
    await raster.close();
  });

  const types: [SampleType, number][] = [
    ['uint16', 40],
    ['int16', 40],
    ['uint32', 1000],
    ['float32', 0.25],
    ['float64', 0.25],
  ];
  it.each(types)('stretches %s from a given range', async (type, step) => {
    const bytes = writeTiff({ ...base, bands: 1, type, bigEndian: true, value: (x) => (x - 3) * step });
    const image = await readAll(bytes, { stretch: { low: 0, high: 17 * step } });
    const row = Array.from({ length: 23 }, (_, x) => image.data[x * 3]!);
    const negative = type === 'uint32' || type === 'uint16';
    expect(row.slice(3)).toEqual(Array.from({ length: 20 }, (_, i) => Math.min(255, i * 15)));
    if (!negative) expect(row.slice(0, 3)).toEqual([0, 0, 0]);
  });

  it('stretches 16-bit bands to their own percentiles without counting no-data', async () => {
    const bytes = writeTiff({
      ...base,
      width: 40,
      height: 40,
      type: 'uint16',
      noData: '0',
      value: (x, y, band) => (x < 10 ? 0 : 1000 * (band + 1) + x * 10 + y),
    });
    const raster = await openRaster(bytes);
    for (const [band, range] of raster.stretch!.entries()) {
      expect(range.low).toBeGreaterThan(1000 * (band + 1) + 100);
      expect(range.high).toBeLessThan(1000 * (band + 1) + 430);
    }
    expect(raster.describeStretch()).toMatch(
      /^uint16 samples stretched to 8 bits \(2-98 %; band 1: \d+ to \d+, /,
    );
    const image = await raster.read();
    expect([...image.data.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect([...image.data.subarray(-3)]).toEqual([255, 255, 255]);
    // One stretch for every window: the same pixel has the same colour wherever it is read.
    const part = await raster.read({ x: 20, y: 20, width: 4, height: 4 });
    const at = (20 * 40 + 20) * 3;
    expect(part.data.subarray(0, 3)).toEqual(image.data.subarray(at, at + 3));
  });

  it('treats NaN and transparent pixels as missing', async () => {
    const nan = writeTiff({ ...base, bands: 1, type: 'float32', value: (x) => (x === 0 ? Number.NaN : x) });
    const image = await readAll(nan);
    expect(image.data[0]).toBe(0);
    expect(image.data[22 * 3]).toBe(255);
    const alpha = writeTiff({
      ...base,
      bands: 4,
      type: 'uint16',
      extraSamples: [2],
      value: (x, _y, band) => (band === 3 ? (x < 5 ? 0 : 65535) : x < 5 ? 60000 : x * 100),
    });
    const raster = await openRaster(alpha);
    expect(raster.bands).toBe(3);
    expect(raster.stretch![0]!.high).toBe(2200);
    expect((await raster.read()).data[0]).toBe(0);
  });

  it('shows the first three of many bands, or the asked ones', async () => {
    const bytes = writeTiff({ ...base, bands: 5, extraSamples: [0, 0], photometric: 2 });
    const first = await readAll(bytes);
    expect([...first.data.subarray(0, 3)]).toEqual([value(0, 0, 0), value(0, 0, 1), value(0, 0, 2)]);
    const asked = await readAll(bytes, { bands: [4, 0, 3] });
    expect([...asked.data.subarray(0, 3)]).toEqual([value(0, 0, 4), value(0, 0, 0), value(0, 0, 3)]);
    const error = await failure(readAll(bytes, { bands: [0, 1, 5] }));
    expect(error.message).toMatch(/bands 0,1,5 cannot be shown; give one or three of 0 to 4/);
    expect(error.exitCode).toBe(EXIT_CODES.usage);
  });

  it('expands palettes', async () => {
    const ramp = Array.from({ length: 256 }, (_, i) => i * 257);
    const palette = [...ramp, ...ramp.map((v) => 65535 - v), ...ramp.map(() => 0)];
    const image = await readAll(writeTiff({ ...base, bands: 1, photometric: 3, palette }));
    const v = value(3, 2, 0);
    const at = (2 * 23 + 3) * 3;
    expect([...image.data.subarray(at, at + 3)]).toEqual([v, 255 - v, 0]);
  });

  it('reads JPEG tiles in YCbCr as the same picture', async () => {
    const raw = { width: 64, height: 64, channels: 3 as const };
    const pixels = Buffer.from(
      Array.from({ length: 64 * 64 * 3 }, (_, i) => ((i / 3) % 64) * 3 + (i % 3) * 20),
    );
    const bytes = await sharp(pixels, { raw })
      .tiff({ compression: 'jpeg', quality: 95, tile: true, tileWidth: 32, tileHeight: 32 })
      .toBuffer();
    const image = await readAll(bytes);
    const worst = image.data.reduce((most, v, i) => Math.max(most, Math.abs(v - pixels[i]!)), 0);
    expect(worst).toBeLessThan(12);
  });

  it('reads small sizes from the overview and others from the full picture', async () => {
    const overview = { width: 16, height: 16, value: () => 200 };
    const bytes = writeTiff({ ...base, width: 64, height: 64, tile: 16, value: () => 50, overview });
    const raster = await openRaster(bytes);
    expect(raster.levels).toEqual([
      { width: 64, height: 64 },
      { width: 16, height: 16 },
    ]);
    expect((await raster.read(undefined, { size: { width: 16, height: 16 } })).data[0]).toBe(200);
    expect((await raster.read(undefined, { size: { width: 17, height: 17 } })).data[0]).toBe(50);
    expect((await raster.read()).data[0]).toBe(50);
  });

  it('resizes windows as the whole picture would be', async () => {
    const raster = await openRaster(writeTiff({ ...base, width: 90, height: 60, tile: 16 }));
    const whole = await raster.read();
    const window = { x: 10, y: 6, width: 60, height: 40 };
    const small = await raster.read(window, { size: { width: 21, height: 14 } });
    expect(small.data).toEqual(resampleRgb(whole, [10, 6, 60, 40], 21, 14).data);
    const large = await raster.read(window, { size: { width: 90, height: 60 } });
    expect(large.data).toEqual(resampleRgb(whole, [10, 6, 60, 40], 90, 60).data);
  });

  it('says when there is nothing to see', async () => {
    const flat = await openRaster(writeTiff({ ...base, type: 'uint16', value: () => 7 }), {
      name: 'flat.tif',
    });
    expect(flat.warnings).toEqual([
      'flat.tif: has no contrast (every pixel is 7), nothing can be found in it',
    ]);
    expect((await flat.read()).data[0]).toBe(128);
    const blank = await openRaster(
      writeTiff({ ...base, type: 'int16', noData: '-9999', value: () => -9999 }),
    );
    expect(blank.warnings[0]).toMatch(/no valid pixel/);
    expect((await blank.read()).data[0]).toBe(0);
  });

  it('refuses windows outside the picture', async () => {
    const raster = await openRaster(writeTiff(base));
    await expect(raster.read({ x: 20, y: 0, width: 4, height: 4 })).rejects.toThrow(/inside 23x17/);
    await expect(raster.read({ x: 0, y: 0, width: 0, height: 4 })).rejects.toThrow(RangeError);
    await expect(raster.read({ x: 0.5, y: 0, width: 4, height: 4 })).rejects.toThrow(RangeError);
  });

  it('reads a part of a file over HTTP by ranges', async () => {
    const bytes = writeTiff({ ...base, width: 600, height: 600, tile: 64 });
    let sent = 0;
    const server = createServer((request, response) => {
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
      const [begin, end] =
        range === null
          ? [0, bytes.length - 1]
          : [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
      const part = bytes.subarray(begin, end + 1);
      sent += part.length;
      response.writeHead(206, {
        'content-range': `bytes ${begin}-${end}/${bytes.length}`,
        'content-length': part.length,
      });
      response.end(part);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const raster = await openRaster(`http://127.0.0.1:${port}/scene.tif`, { stretch: 'none' });
      sent = 0;
      const part = await raster.read({ x: 100, y: 100, width: 20, height: 20 });
      expect(part.data[0]).toBe(value(100, 100, 0));
      expect(sent).toBeLessThan(bytes.length / 4);
      await raster.close();
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe('openRaster on PNG, JPEG and memory', () => {
  it('applies EXIF orientation', async () => {
    const raw = { width: 16, height: 8, channels: 3 as const };
    const pixels = Buffer.alloc(16 * 8 * 3);
    for (let i = 0; i < 16 * 8; i++) if (i % 16 < 8) pixels[i * 3] = 255; // red on the left
    const turned = await sharp(pixels, { raw })
      .withMetadata({ orientation: 6 })
      .jpeg({ quality: 100 })
      .toBuffer();
    const image = await readAll(turned);
    expect([image.width, image.height]).toEqual([8, 16]);
    expect(image.data[0]).toBeGreaterThan(200); // orientation 6: the left side goes to the top
    expect(image.data[(15 * 8 + 4) * 3]).toBeLessThan(50);
  });

  it('reads grey, 16-bit and transparent PNG', async () => {
    const raw = { width: 10, height: 10, channels: 1 as const };
    const grey = await sharp(Buffer.from(Array.from({ length: 100 }, (_, i) => i)), { raw })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    const raster = await openRaster(grey);
    expect(raster.bands).toBe(1);
    expect([...(await raster.read()).data.subarray(27, 33)]).toEqual([9, 9, 9, 10, 10, 10]);

    const deep = await sharp(
      Uint16Array.from({ length: 100 }, (_, i) => 300 + i),
      { raw },
    )
      .toColourspace('grey16')
      .png()
      .toBuffer();
    const stretched = await openRaster(deep);
    expect(stretched.sampleType).toBe('uint16');
    const data = (await stretched.read()).data;
    expect([data[0], data.at(-1)]).toEqual([0, 255]);

    const rgba = Buffer.from(Array.from({ length: 400 }, (_, i) => (i % 4 === 3 ? (i < 200 ? 0 : 255) : 90)));
    const clear = await readAll(
      await sharp(rgba, { raw: { ...raw, channels: 4 } })
        .png()
        .toBuffer(),
    );
    expect([clear.data[0], clear.data.at(-1)]).toEqual([0, 90]);
  });

  it('takes pixels in memory', async () => {
    const image = { width: 5, height: 4, data: Uint8Array.from({ length: 60 }, (_, i) => i) };
    const raster = await openRaster(image, { name: 'tensor' });
    expect((await raster.read()).data).toEqual(image.data);
    expect((await raster.read({ x: 1, y: 1, width: 2, height: 1 })).data).toEqual(image.data.slice(18, 24));
    expect(raster.georeference).toBeNull();
    await expect(openRaster({ ...image, width: 6 })).rejects.toThrow(/expected 6x4x3 bytes/);
  });
});

describe('bad input', () => {
  it.each([
    ['a missing file', 'nothing.tif', null, /no such file; check the path/],
    ['a folder', '.', null, /is a folder; give one picture file/],
    [
      'an empty file',
      'empty.tif',
      Buffer.alloc(0),
      /the file is empty \(0 bytes\); copy or download it again/,
    ],
    [
      'text',
      'text.png',
      Buffer.from('no picture at all'),
      /cannot be read as a picture .*; give a whole GeoTIFF/,
    ],
    [
      'a drawing',
      'a.svg',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /SVG.*give a whole GeoTIFF/,
    ],
    [
      'a TIFF cut after its pixels began',
      'cut.tif',
      writeTiff({ ...base, tile: 16 }).subarray(0, 900),
      /cut\.tif: .*(copy or download|cut short)/,
    ],
    [
      'a TIFF of four bytes',
      'head.tif',
      Buffer.from('II*\0'),
      /not a readable TIFF .*copy or download it again/,
    ],
    [
      'complex samples',
      'sar.tif',
      writeTiff({ ...base, bands: 1, type: 'float64', sampleFormat: 6 }),
      /complex numbers .*convert it/,
    ],
  ])('%s is one line with a remedy', async (_name, file, bytes, message) => {
    const path = join(folder, file);
    if (bytes !== null) await writeFile(path, bytes);
    const error = await failure(openRaster(path));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
    expect(error.exitCode).toBe(EXIT_CODES.data);
  });

  it('finds pixel data that the file no longer holds', async () => {
    // Directory first, pixels last, as cloud-optimised files are laid out: cutting the end leaves a readable header.
    const bytes = await sharp(Buffer.alloc(300 * 300 * 3, 9), {
      raw: { width: 300, height: 300, channels: 3 },
    })
      .tiff({ compression: 'none' })
      .toBuffer();
    const directory = bytes.readUInt32LE(4);
    const moved = Buffer.concat([bytes, bytes.subarray(directory)]);
    // The strips now point past the end.
    const count = moved.readUInt16LE(directory);
    for (let i = 0; i < count; i++) {
      const at = directory + 2 + i * 12;
      if (moved.readUInt16LE(at) !== 279) continue;
      const [n, where] = [moved.readUInt32LE(at + 4), moved.readUInt32LE(at + 8)];
      if (n === 1) moved.writeUInt32LE(moved.length * 2, at + 8);
      else moved.writeUInt32LE(moved.length * 2, where);
    }
    expect((await failure(openRaster(moved, { name: 'scene.tif' }))).message).toMatch(
      /^scene\.tif: cut short: pixel data should reach byte \d+ but the file has \d+; copy or download it again$/,
    );
  });

  it.each(['png', 'jpeg', 'webp'] as const)('a %s that is cut short', async (format) => {
    const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 256));
    const bytes = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    const error = await failure(
      openRaster(bytes.subarray(0, Math.floor(bytes.length * 0.6)), { name: `x.${format}` }),
    );
    expect(error.message).toMatch(/cannot be read as a picture/);
  });
});
