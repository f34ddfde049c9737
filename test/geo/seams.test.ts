// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { detectTiled } from '../../src/geo/detect_tiled.js';
import { SeamMerger } from '../../src/geo/seams.js';
import { planTiles, type Tile } from '../../src/geo/tiles.js';
import { areaXyxy, iouXyxy, nmsXyxy } from '../../src/models/nms.js';
import type { BoxXyxy, Detection, RgbImage } from '../../src/models/types.js';

/** What a faultless detector says of one tile: every object that is at least 15 % visible, clipped to the tile. */
function look(tile: Tile, objects: readonly BoxXyxy[]): Detection[] {
  return objects.flatMap((object, i) => {
    const box: BoxXyxy = [
      Math.max(object[0], tile.x),
      Math.max(object[1], tile.y),
      Math.min(object[2], tile.x + tile.width),
      Math.min(object[3], tile.y + tile.height),
    ];
    const visible = areaXyxy(box) / areaXyxy(object);
    return visible < 0.15 ? [] : [{ box, score: 0.5 + 0.4 * visible - i * 1e-4, phrase: 'boat', spans: [] }];
  });
}

/** Merges everything at once. */
function mergeAll(
  width: number,
  height: number,
  tiles: readonly Tile[],
  objects: readonly BoxXyxy[],
): Detection[] {
  const merger = new SeamMerger(width, height);
  for (const tile of tiles) merger.add(tile, look(tile, objects));
  return merger.take();
}

const byPlace = (a: BoxXyxy, b: BoxXyxy): number => a[1] - b[1] || a[0] - b[0];

/** Objects up to 40 pixels on a grid of 50, so that neighbours never touch. */
const scattered = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 7 })), {
    selector: ([i, j]) => i * 100 + j,
    maxLength: 40,
  })
  .chain((cells) =>
    fc.tuple(
      fc.constant(cells),
      fc.array(
        fc.tuple(
          fc.integer({ min: 8, max: 40 }),
          fc.integer({ min: 8, max: 40 }),
          fc.integer({ min: 0, max: 9 }),
        ),
        {
          minLength: cells.length,
          maxLength: cells.length,
        },
      ),
    ),
  )
  .map(([cells, sizes]) =>
    cells.map(([i, j], k): BoxXyxy => {
      const [w, h, shift] = sizes[k]!;
      return [i * 50 + shift, j * 50 + shift, i * 50 + shift + w, j * 50 + shift + h];
    }),
  );

describe('planTiles', () => {
  it('covers every pixel, shares the overlap, and has cores that part the picture', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 20, max: 300 }),
        fc.integer({ min: 0, max: 50 }),
        (width, height, tile, percent) => {
          const overlap = Math.floor((tile * percent) / 100);
          const tiles = planTiles(width, height, { tile, overlap });
          const coreArea = tiles.reduce((sum, t) => sum + areaXyxy(t.core), 0);
          expect(coreArea).toBeCloseTo(width * height, 6);
          for (const t of tiles) {
            expect(t.x + t.width).toBeLessThanOrEqual(width);
            expect(t.y + t.height).toBeLessThanOrEqual(height);
            expect(t.width).toBe(Math.min(tile, width));
          }
          const row = tiles.filter((t) => t.y === 0);
          for (let i = 1; i < row.length; i++) {
            expect(row[i - 1]!.x + row[i - 1]!.width - row[i]!.x).toBeGreaterThanOrEqual(overlap);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses an overlap of more than half a tile, and empty pictures', () => {
    expect(() => planTiles(100, 100, { tile: 40, overlap: 21 })).toThrow(/at most half a tile/);
    expect(() => planTiles(0, 100, { tile: 40 })).toThrow(/planTiles/);
  });
});

describe('SeamMerger', () => {
  it('finds each object once and whole, wherever seams fall', () => {
    fc.assert(
      fc.property(scattered, fc.integer({ min: 100, max: 200 }), (objects, tile) => {
        const tiles = planTiles(560, 410, { tile, overlap: 48 });
        const boxes = mergeAll(560, 410, tiles, objects).map((d) => d.box);
        expect([...boxes].sort(byPlace)).toEqual([...objects].sort(byPlace));
      }),
      { numRuns: 150 },
    );
  });

  it('joins the pieces of objects longer than the overlap', () => {
    const long: BoxXyxy[] = [
      [20, 30, 480, 60],
      [100, 100, 130, 390],
      [200, 150, 420, 380],
    ];
    const tiles = planTiles(560, 410, { tile: 160, overlap: 40 });
    const boxes = mergeAll(560, 410, tiles, long).map((d) => d.box);
    // The merged picture must hold one box per object; how much of an object a detector has to see is its own affair.
    for (const object of long) {
      expect(boxes.filter((box) => iouXyxy(box, object) > 0.95)).toHaveLength(1);
    }
  });

  it('keeps overlapping objects of different phrases, and of one tile, apart', () => {
    const tiles = planTiles(300, 100, { tile: 200, overlap: 100 });
    const merger = new SeamMerger(300, 100);
    const box: BoxXyxy = [120, 20, 160, 60];
    const near: BoxXyxy = [122, 20, 162, 60];
    merger.add(tiles[0]!, [
      { box, score: 0.9, phrase: 'car', spans: [] },
      { box: near, score: 0.8, phrase: 'car', spans: [] },
      { box, score: 0.7, phrase: 'truck', spans: [] },
    ]);
    expect(merger.take()).toHaveLength(3);
  });

  it('hands out the same detections row by row as all at once', () => {
    fc.assert(
      fc.property(scattered, (objects) => {
        const tiles = planTiles(560, 410, { tile: 130, overlap: 44 });
        const merger = new SeamMerger(560, 410);
        const streamed: Detection[] = [];
        tiles.forEach((tile, i) => {
          merger.add(tile, look(tile, objects));
          streamed.push(...merger.take(tiles[i + 1]?.y));
        });
        const whole = mergeAll(560, 410, tiles, objects);
        const key = (d: Detection): string => JSON.stringify(d);
        expect(streamed.map(key).sort()).toEqual(whole.map(key).sort());
      }),
      { numRuns: 60 },
    );
  });
});

describe('detectTiled', () => {
  /** A black picture with white rectangles, and a detector that finds the rectangle of a tile by its pixels. */
  function picture(width: number, height: number, objects: readonly BoxXyxy[]): RgbImage {
    const data = new Uint8Array(width * height * 3);
    for (const [x0, y0, x1, y1] of objects) {
      for (let y = y0; y < y1; y++) data.fill(255, (y * width + x0) * 3, (y * width + x1) * 3);
    }
    return { width, height, data };
  }

  function crop(image: RgbImage, tile: Tile): RgbImage {
    const data = new Uint8Array(tile.width * tile.height * 3);
    for (let y = 0; y < tile.height; y++) {
      const from = ((tile.y + y) * image.width + tile.x) * 3;
      data.set(image.data.subarray(from, from + tile.width * 3), y * tile.width * 3);
    }
    return { width: tile.width, height: tile.height, data };
  }

  /** Bounding boxes of white areas by flood fill. */
  function blobs({ width, height, data }: RgbImage): Detection[] {
    const seen = new Uint8Array(width * height);
    const found: Detection[] = [];
    for (let start = 0; start < width * height; start++) {
      if (seen[start] || data[start * 3]! < 128) continue;
      const box: [number, number, number, number] = [width, height, 0, 0];
      const stack = [start];
      seen[start] = 1;
      while (stack.length > 0) {
        const at = stack.pop()!;
        const [x, y] = [at % width, Math.floor(at / width)];
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x + 1);
        box[3] = Math.max(box[3], y + 1);
        for (const [nx, ny] of [
          [x - 1, y],
          [x + 1, y],
          [x, y - 1],
          [x, y + 1],
        ] as const) {
          const next = ny * width + nx;
          if (nx < 0 || ny < 0 || nx >= width || ny >= height || seen[next] || data[next * 3]! < 128)
            continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
      found.push({ box, score: 0.9, phrase: 'white', spans: [[0, 5]] });
    }
    return found;
  }

  const objects: BoxXyxy[] = [
    [5, 5, 25, 20],
    [90, 40, 120, 70],
    [95, 95, 125, 125],
    [180, 10, 190, 200],
    [150, 260, 290, 280],
  ];

  it('yields each object once, in pixels of the picture, with progress', async () => {
    const image = picture(300, 290, objects);
    const raster = {
      width: 300,
      height: 290,
      read: async (tile?: unknown) => crop(image, tile as Tile),
    };
    const tiles = planTiles(300, 290, { tile: 110, overlap: 36 });
    const progress: number[] = [];
    const found: BoxXyxy[] = [];
    const detect = async (images: readonly RgbImage[]): Promise<Detection[][]> => images.map(blobs);
    const options = { batch: 3, onProgress: (done: number) => progress.push(done) };
    for await (const detection of detectTiled(raster, tiles, detect, options)) found.push(detection.box);
    expect(found.sort(byPlace)).toEqual([...objects].sort(byPlace));
    expect(progress.at(-1)).toBe(tiles.length);
  });

  it('passes on what the detector or the reader throws', async () => {
    const tiles = planTiles(300, 100, { tile: 100, overlap: 20 });
    const raster = { width: 300, height: 100, read: async () => picture(100, 100, []) };
    const failing = detectTiled(raster, tiles, async () => {
      throw new Error('detector broke');
    });
    await expect(failing.next()).rejects.toThrow('detector broke');
    const unreadable = { ...raster, read: async () => Promise.reject(new Error('disk broke')) };
    await expect(detectTiled(unreadable, tiles, async () => []).next()).rejects.toThrow('disk broke');
  });
});

describe('nmsXyxy', () => {
  it('keeps the best of overlapping boxes, class by class', () => {
    const boxes: BoxXyxy[] = [
      [0, 0, 10, 10],
      [1, 0, 11, 10],
      [0, 1, 10, 11],
      [50, 50, 60, 60],
    ];
    expect(nmsXyxy(boxes, [0.5, 0.9, 0.6, 0.1], 0.5)).toEqual([1, 3]);
    expect(nmsXyxy(boxes, [0.5, 0.9, 0.6, 0.1], 0.5, ['a', 'b', 'a', 'a'])).toEqual([1, 2, 3]);
    expect(() => nmsXyxy(boxes, [0.5, Number.NaN, 0.6, 0.1], 0.5)).toThrow(/NaN at index 1/);
  });
});
