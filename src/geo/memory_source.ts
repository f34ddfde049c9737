// SPDX-License-Identifier: Apache-2.0

import type { RgbImage } from '../models/types.js';
import type { BandArray, BandData, BandSource, Level, Window } from './band_source.js';

/** An RGB picture that is already in memory. */
export class MemorySource implements BandSource {
  readonly bandCount = 3;
  readonly sampleType = 'uint8';
  readonly noData = null;
  readonly geoTags = null;
  readonly levels: readonly Level[];

  constructor(private readonly image: RgbImage) {
    const { width, height, data } = image;
    if (!(width > 0 && height > 0) || data.length !== width * height * 3) {
      throw new RangeError(
        `[openRaster] expected ${width}x${height}x3 bytes in an RGB picture but received ${data.length}`,
      );
    }
    this.levels = [{ width, height }];
  }

  async readBands(_level: number, window: Window, bands: readonly number[]): Promise<BandData> {
    const take = (band: number): BandArray => {
      const out = new Uint8Array(window.width * window.height);
      let at = 0;
      for (let y = window.y; y < window.y + window.height; y++) {
        let from = (y * this.image.width + window.x) * 3 + band;
        for (let x = 0; x < window.width; x++, from += 3) out[at++] = this.image.data[from]!;
      }
      return out;
    };
    return { width: window.width, height: window.height, bands: bands.map(take), alpha: null };
  }

  async close(): Promise<void> {}
}
