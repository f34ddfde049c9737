// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { Random } from '../../../../src/random.js';
import { SceneDataset, SPLIT_SEEDS, writeScenes } from '../../../../src/train/data/scenes/index.js';

describe('SceneDataset', () => {
  it('gives the same sample for the same index without random numbers', async () => {
    const a = new SceneDataset({ split: 'test', length: 20 });
    const b = new SceneDataset({ split: 'test', length: 40 });
    expect(await a.get(13)).toEqual(await b.get(13));
    expect((await a.get(14)).image.data).not.toEqual((await a.get(13)).image.data);
  });

  it('varies caption and picture from the random numbers alone', async () => {
    const set = new SceneDataset({ split: 'train', length: 20 });
    const random = new Random(5);
    const state = random.state;
    const first = await set.get(3, random);
    const second = await set.get(3, random);
    expect(second).not.toEqual(first);
    expect(await set.get(3, Random.fromState(state))).toEqual(first);
  });

  it('keeps the seeds of the splits apart, whatever the seed', () => {
    const ranges = Object.values(SPLIT_SEEDS).sort((a, b) => a.first - b.first);
    ranges.slice(1).forEach((range, i) => {
      expect(range.first).toBeGreaterThanOrEqual(ranges[i]!.first + ranges[i]!.count);
    });
    for (const split of ['train', 'val', 'test'] as const) {
      for (const seed of [0, 1, 999_999_937]) {
        const set = new SceneDataset({ split, length: 50, seed });
        const { first, count } = SPLIT_SEEDS[split];
        for (const index of [0, 49]) {
          expect(set.sceneSeed(index)).toBeGreaterThanOrEqual(first);
          expect(set.sceneSeed(index)).toBeLessThan(first + count);
        }
      }
    }
  });

  it('carries every object, with spans on those that the caption names', async () => {
    const set = new SceneDataset({ split: 'val', length: 60 });
    let named = 0;
    let unnamed = 0;
    for (let i = 0; i < set.length; i++) {
      const sample = await set.get(i);
      expect(sample.objects).toHaveLength(set.scene(i).objects.length);
      for (const object of sample.objects) {
        if (object.spans.length > 0) named++;
        else unnamed++;
        for (const [begin, end] of object.spans) {
          expect(begin >= 0 && begin < end && end <= [...sample.caption].length).toBe(true);
        }
      }
    }
    expect(named).toBeGreaterThan(50);
    expect(unnamed).toBeGreaterThan(50);
  });

  it('keeps to one form where asked, and refuses bad options', async () => {
    const set = new SceneDataset({ split: 'val', length: 5, form: 'kind' });
    expect((await set.get(2)).form).toBe('kind');
    expect(() => set.scene(5)).toThrow('below 5');
    expect(() => new SceneDataset({ split: 'dev' as 'val', length: 5 })).toThrow('train, val, test');
    expect(() => new SceneDataset({ split: 'val', length: 0 })).toThrow('from 1 up');
  });
});

describe('writeScenes', () => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'scenes-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('writes pictures, COCO annotations with token spans, and a contact sheet', async () => {
    const dir = join(root, 'new', 'set');
    const written = await writeScenes(dir, 9, { split: 'test' });
    const file = JSON.parse(await readFile(written.annotations, 'utf8'));
    expect(file.images).toHaveLength(9);
    const set = new SceneDataset({ split: 'test', length: 9 });
    for (const [i, entry] of file.images.entries()) {
      const sample = await set.get(i);
      expect(entry.caption).toBe(sample.caption);
      const own = file.annotations.filter((a: { image_id: number }) => a.image_id === entry.id);
      expect(own.map((a: { tokens_positive: unknown }) => a.tokens_positive)).toEqual(
        sample.objects.map((o) => o.spans),
      );
      expect(own.map((a: { bbox: number[] }) => a.bbox)).toEqual(
        sample.objects.map(({ box: [x0, y0, x1, y1] }) => [x0, y0, x1 - x0, y1 - y0]),
      );
      const pixels = await sharp(join(dir, entry.file_name)).raw().toBuffer();
      expect(new Uint8Array(pixels)).toEqual(sample.image.data);
    }
    expect((await sharp(written.contactSheet).metadata()).width).toBeGreaterThan(1000);
    expect((await readFile(written.captions, 'utf8')).trim().split('\n')).toHaveLength(9);
    expect(await readdir(join(root, 'new'))).toEqual(['set']);
  });

  it('accepts an empty folder and refuses a used one or a file, leaving nothing behind', async () => {
    await mkdir(join(root, 'empty'));
    await writeScenes(join(root, 'empty'), 1, { size: 64 });
    await expect(writeScenes(join(root, 'empty'), 1)).rejects.toThrow('is not empty');
    await writeFile(join(root, 'file'), 'x');
    await expect(writeScenes(join(root, 'file'), 1)).rejects.toThrow('it is a file');
    await expect(writeScenes(join(root, 'file', 'below'), 1)).rejects.toThrow('it is a file');
    expect((await readdir(root)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
