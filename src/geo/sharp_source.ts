// SPDX-License-Identifier: Apache-2.0
import sharp from 'sharp';
import { EXIT_CODES, UserError } from '../errors.js';
import type { BandArray, BandData, BandSource, Level, Window } from './band_source.js';

/** Pictures up to this many decoded bytes are decoded once and kept; larger ones window by window. */
const KEEP_DECODED_BYTES = 256 * 1024 * 1024;

/** PNG, JPEG, WebP and whatever else sharp decodes. EXIF orientation is applied: (0, 0) is the upright corner. */
export class SharpSource implements BandSource {
  readonly noData = null;
  readonly geoTags = null;
  private decoded: Promise<BandArray> | null = null;

  private constructor(
    private readonly input: string | Buffer,
    private readonly name: string,
    readonly levels: readonly Level[],
    private readonly channels: number,
    private readonly hasAlpha: boolean,
    readonly sampleType: 'uint8' | 'uint16',
  ) {}

  /**
   * @param name how errors call the picture
   * @throws UserError when the bytes are no picture, or a damaged one
   */
  static async open(input: string | Buffer, name: string): Promise<SharpSource> {
    let source: SharpSource;
    try {
      const meta = await sharp(input, { limitInputPixels: false }).metadata();
      if (meta.format === 'svg') throw new Error('a drawing (SVG), not a picture');
      const colours = meta.channels - (meta.hasAlpha ? 1 : 0);
      const sampleType = meta.depth === 'ushort' ? 'uint16' : 'uint8';
      const channels = (colours < 3 ? 1 : 3) + (meta.hasAlpha ? 1 : 0);
      const level = { width: meta.autoOrient.width, height: meta.autoOrient.height };
      source = new SharpSource(input, name, [level], channels, meta.hasAlpha, sampleType);
    } catch (error) {
      throw unreadable(name, error);
    }
    // Damage past the header shows only when pixels are decoded: find it now, not in the middle of a run.
    await source.readBands(0, { x: 0, y: source.levels[0]!.height - 1, width: 1, height: 1 }, [0]);
    return source;
  }

  get bandCount(): number {
    return this.channels - (this.hasAlpha ? 1 : 0);
  }

  async readBands(_level: number, window: Window, bands: readonly number[]): Promise<BandData> {
    const { width, height } = this.levels[0]!;
    const bytes = width * height * this.channels * (this.sampleType === 'uint16' ? 2 : 1);
    if (bytes > KEEP_DECODED_BYTES) {
      const part = await this.decode(window);
      return split(part, window.width, { ...window, x: 0, y: 0 }, this.channels, bands, this.hasAlpha);
    }
    this.decoded ??= this.decode(null);
    return split(await this.decoded, width, window, this.channels, bands, this.hasAlpha);
  }

  async close(): Promise<void> {
    this.decoded = null;
  }

  private async decode(window: Window | null): Promise<BandArray> {
    const wide = this.sampleType === 'uint16';
    const space = this.bandCount === 1 ? (wide ? 'grey16' : 'b-w') : wide ? 'rgb16' : 'srgb';
    try {
      let pipeline = sharp(this.input, {
        limitInputPixels: false,
        sequentialRead: true,
        failOn: 'truncated',
      });
      pipeline = pipeline.autoOrient();
      if (window !== null) {
        const { x: left, y: top, width, height } = window;
        pipeline = pipeline.extract({ left, top, width, height });
      }
      const { data, info } = await pipeline
        .toColourspace(space)
        .raw({ depth: wide ? 'ushort' : 'uchar' })
        .toBuffer({ resolveWithObject: true });
      if (info.channels !== this.channels) {
        throw new Error(`expected ${this.channels} channels but decoded ${info.channels}`);
      }
      return wide ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2) : data;
    } catch (error) {
      throw unreadable(this.name, error);
    }
  }
}

function unreadable(name: string, error: unknown): UserError {
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
  return new UserError(
    `${name}: cannot be read as a picture (${reason}); give a whole GeoTIFF, PNG, JPEG or WebP file`,
    EXIT_CODES.data,
    { cause: error },
  );
}

/** Bands of a window out of interleaved samples. */
function split(
  data: BandArray,
  rowPixels: number,
  window: Window,
  channels: number,
  bands: readonly number[],
  hasAlpha: boolean,
): BandData {
  const take = (channel: number): BandArray => {
    const out = data instanceof Uint16Array ? new Uint16Array(window.width * window.height) : null;
    const target = out ?? new Uint8Array(window.width * window.height);
    let at = 0;
    for (let y = window.y; y < window.y + window.height; y++) {
      let from = (y * rowPixels + window.x) * channels + channel;
      for (let x = 0; x < window.width; x++, from += channels) target[at++] = data[from]!;
    }
    return target;
  };
  return {
    width: window.width,
    height: window.height,
    bands: bands.map(take),
    alpha: hasAlpha ? take(channels - 1) : null,
  };
}
