// SPDX-License-Identifier: Apache-2.0
import type { BoxXyxy, Detection, RgbImage } from '../models/types.js';
import type { Raster } from './raster.js';
import { SeamMerger, type SeamOptions } from './seams.js';
import type { Tile } from './tiles.js';

/** Finds objects in some pictures at once; boxes in pixels of each picture. One list per picture. */
export type DetectBatch = (images: readonly RgbImage[]) => Promise<readonly (readonly Detection[])[]>;

export interface DetectTiledOptions extends SeamOptions {
  /** Tiles given to the detector at a time. Default 1. */
  batch?: number;
  /** Scale from picture pixels to the detector's; 0.5 halves a tile before it is looked at. Default 1. */
  scale?: number;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Looks at a picture tile by tile and yields each object once, in pixels of the picture, as soon as no later tile can
 * change it. While one batch is looked at the next is read; nothing else is held, so memory does not grow with the
 * picture.
 *
 * @param tiles in row-major order, as `planTiles` gives them
 */
export async function* detectTiled(
  raster: Pick<Raster, 'width' | 'height' | 'read'>,
  tiles: readonly Tile[],
  detect: DetectBatch,
  options: DetectTiledOptions = {},
): AsyncGenerator<Detection, void, undefined> {
  const batchSize = options.batch ?? 1;
  const scale = options.scale ?? 1;
  const merger = new SeamMerger(raster.width, raster.height, options);
  const read = (batch: readonly Tile[]): Promise<RgbImage[]> =>
    Promise.all(
      batch.map((tile) =>
        raster.read(tile, {
          size: {
            width: Math.max(1, Math.round(tile.width * scale)),
            height: Math.max(1, Math.round(tile.height * scale)),
          },
        }),
      ),
    );
  const batches = chunk(tiles, batchSize);
  let next = batches.length > 0 ? read(batches[0]!) : null;
  for (const [i, batch] of batches.entries()) {
    const images = await next!;
    next = i + 1 < batches.length ? read(batches[i + 1]!) : null;
    // If the detector fails first, this read's own failure must not surface as an unhandled rejection.
    next?.catch(() => undefined);
    const found = await detect(images);
    if (found.length !== batch.length) {
      throw new RangeError(
        `[detectTiled] expected ${batch.length} lists of detections but received ${found.length}`,
      );
    }
    batch.forEach((tile, k) => {
      merger.add(
        tile,
        found[k]!.map((detection) => toPicture(detection, tile, images[k]!)),
      );
    });
    const done = batch.at(-1)!.index + 1;
    options.onProgress?.(done, tiles.length);
    yield* merger.take(tiles[done]?.y);
  }
}

/** A detection of a (perhaps resized) tile in pixels of the whole picture, kept within the tile. */
function toPicture(detection: Detection, tile: Tile, image: RgbImage): Detection {
  const fx = tile.width / image.width;
  const fy = tile.height / image.height;
  const [x0, y0, x1, y1] = detection.box;
  const clamp = (value: number, size: number): number => Math.min(Math.max(value, 0), size);
  const box: BoxXyxy = [
    tile.x + clamp(x0 * fx, tile.width),
    tile.y + clamp(y0 * fy, tile.height),
    tile.x + clamp(x1 * fx, tile.width),
    tile.y + clamp(y1 * fy, tile.height),
  ];
  return { ...detection, box };
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let i = 0; i < items.length; i += size) chunks.push(items.slice(i, i + size));
  return chunks;
}
