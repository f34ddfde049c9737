// SPDX-License-Identifier: Apache-2.0
import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { errorCode } from '../files.js';
import type { RgbImage } from '../models/types.js';
import type { BandSource, Level, Window } from './band_source.js';
import type { Georeference } from './georeference.js';
import { GeoTiffSource } from './geotiff_source.js';
import { MemorySource } from './memory_source.js';
import { resampleRgb } from './resample.js';
import { SharpSource } from './sharp_source.js';
import { type GeoreferenceResult, locate } from './sidecar.js';
import { percentileRanges, type StretchChoice, type StretchRange, toRgb, typeRange } from './stretch.js';

/** Source pixels held at a time while a large window is shrunk. */
const CHUNK_PIXELS = 4 << 20;
/** Largest picture that one `read` hands out. */
const MAX_OUTPUT_PIXELS = 512 * 1024 * 1024;

export interface RasterOptions {
  /** Bands shown as red, green, blue (or one band: grey), counted from 0. Default: the first three, or the only one. */
  bands?: readonly number[];
  /** Default `auto`. */
  stretch?: StretchChoice;
  /** Reference system for a picture that has a position but names none (`EPSG:32617`, PROJ, WKT). */
  crs?: string;
  /** How errors and outputs call a picture that came as bytes. */
  name?: string;
}

export interface ReadOptions {
  /** Size of the result; default: the window's. */
  size?: { width: number; height: number };
  bands?: readonly number[];
  stretch?: StretchChoice;
}

/** A picture on disk (or in memory) that is read window by window as 8-bit RGB. Close it when done. */
export class Raster {
  /** Things the user should be told: no contrast, doubtful datum. */
  readonly warnings: string[] = [];
  /** Ranges that became 0 and 255, one per shown band; null when 8-bit samples are used as they are. */
  stretch: readonly StretchRange[] | null = null;
  private readonly percentiles = new Map<number, Promise<StretchRange | null>>();

  private constructor(
    /** Path as given, or the name of a picture that came as bytes. */
    readonly name: string,
    private readonly source: BandSource,
    private readonly location: GeoreferenceResult,
    /** Bands shown by default. */
    readonly shownBands: readonly number[],
    private readonly stretchChoice: StretchChoice,
  ) {
    if (location.warning !== null) this.warnings.push(location.warning);
  }

  /** Made by `openRaster`. */
  static async create(
    name: string,
    source: BandSource,
    path: string | null,
    options: RasterOptions,
  ): Promise<Raster> {
    const bands = options.bands ?? (source.bandCount >= 3 ? [0, 1, 2] : [0]);
    checkBands(bands, source.bandCount, name);
    const location = await locate(source.levels[0]!, source.geoTags, path, options.crs);
    const raster = new Raster(name, source, location, bands, options.stretch ?? 'auto');
    await raster.measure();
    return raster;
  }

  get width(): number {
    return this.source.levels[0]!.width;
  }

  get height(): number {
    return this.source.levels[0]!.height;
  }

  /** Number of bands in the file, alpha not counted. */
  get bands(): number {
    return this.source.bandCount;
  }

  /** `uint8`, `uint16`, `float32`, ... */
  get sampleType(): string {
    return this.source.sampleType;
  }

  /** Full resolution and the overviews stored in the file. */
  get levels(): readonly Level[] {
    return this.source.levels;
  }

  get georeference(): Georeference | null {
    return this.location.georeference;
  }

  /** Why there is no georeference and what to do; null when there is one. */
  get georeferenceMissing(): string | null {
    return this.location.missing;
  }

  /** Ground size of a pixel at the picture's centre, or null without a georeference. */
  get metresPerPixel(): number | null {
    return this.georeference?.metresPerPixel(this.width / 2, this.height / 2) ?? null;
  }

  /** One line for the user about how samples became colours, or null for plain 8-bit pictures. */
  describeStretch(): string | null {
    if (this.stretch === null) return null;
    const parts = this.stretch.map(
      ({ low, high }, i) => `band ${this.shownBands[i]! + 1}: ${format(low)} to ${format(high)}`,
    );
    const how =
      typeof this.stretchChoice === 'object'
        ? 'as given'
        : this.stretchChoice === 'none'
          ? 'whole range'
          : '2-98 %';
    return `${this.sampleType} samples stretched to 8 bits (${how}; ${parts.join(', ')})`;
  }

  /**
   * A window as RGB. Memory stays bounded by the result and a fixed amount, however large the window.
   *
   * @param window whole pixels inside the picture; default all of it
   * @throws RangeError for a window outside the picture, UserError for damaged files and wrong bands
   */
  async read(window?: Window, options: ReadOptions = {}): Promise<RgbImage> {
    const area = window ?? { x: 0, y: 0, width: this.width, height: this.height };
    checkWindow(area, this.width, this.height);
    const size = options.size ?? { width: area.width, height: area.height };
    checkSize(size, this.name);
    const bands = options.bands ?? this.shownBands;
    checkBands(bands, this.bands, this.name);
    const choice = options.stretch ?? this.stretchChoice;
    const ranges = await this.ranges(bands, choice);
    const asIs = this.sampleType === 'uint8' && (choice === 'auto' || choice === 'none');
    const noData = asIs ? null : this.source.noData;
    const rgb = async (level: number, part: Window): Promise<RgbImage> => {
      const data = await this.source.readBands(level, part, bands);
      return { width: data.width, height: data.height, data: toRgb(data, ranges, noData) };
    };
    if (size.width === area.width && size.height === area.height) return rgb(0, area);
    return this.shrink(area, size, rgb);
  }

  async close(): Promise<void> {
    await this.source.close();
  }

  /** Resamples in strips of output rows, from the coarsest level that still has every wanted pixel. */
  private async shrink(
    area: Window,
    size: { width: number; height: number },
    rgb: (level: number, part: Window) => Promise<RgbImage>,
  ): Promise<RgbImage> {
    const level = this.source.levels.findLastIndex(
      ({ width, height }) =>
        (width / this.width) * area.width >= size.width &&
        (height / this.height) * area.height >= size.height,
    );
    const chosen = Math.max(0, level);
    const { width: levelWidth, height: levelHeight } = this.source.levels[chosen]!;
    const fx = levelWidth / this.width;
    const fy = levelHeight / this.height;
    const exact = { x: area.x * fx, y: area.y * fy, width: area.width * fx, height: area.height * fy };
    const stepY = exact.height / size.height;
    const margin = Math.ceil(Math.max(1, exact.width / size.width, stepY)) + 1;
    const x0 = Math.max(0, Math.floor(exact.x) - margin);
    const x1 = Math.min(levelWidth, Math.ceil(exact.x + exact.width) + margin);
    const rowsAtOnce = Math.max(1, Math.floor(CHUNK_PIXELS / (x1 - x0) / stepY));
    const data = new Uint8Array(size.width * size.height * 3);
    for (let row = 0; row < size.height; row += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, size.height - row);
      const top = exact.y + row * stepY;
      const y0 = Math.max(0, Math.floor(top) - margin);
      const y1 = Math.min(levelHeight, Math.ceil(top + rows * stepY) + margin);
      const part = await rgb(chosen, { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
      const source = [exact.x - x0, top - y0, exact.width, rows * stepY] as const;
      data.set(resampleRgb(part, source, size.width, rows).data, row * size.width * 3);
    }
    return { ...size, data };
  }

  /** Finds the stretch of the shown bands once, and warns when there is nothing to see. */
  private async measure(): Promise<void> {
    const measured = await this.percentileRanges(this.shownBands);
    const flat = measured.every((range) => range === null || range.low === range.high);
    if (flat) {
      this.warnings.push(
        measured[0] === null || measured[0] === undefined
          ? `${this.name}: holds no valid pixel (all no-data or transparent), nothing can be found in it`
          : `${this.name}: has no contrast (every pixel is ${format(measured[0].low)}), nothing can be found in it`,
      );
    }
    const plain =
      this.sampleType === 'uint8' && (this.stretchChoice === 'auto' || this.stretchChoice === 'none');
    this.stretch = plain ? null : await this.ranges(this.shownBands, this.stretchChoice);
  }

  private async ranges(bands: readonly number[], choice: StretchChoice): Promise<StretchRange[]> {
    if (typeof choice === 'object') {
      if (!(Number.isFinite(choice.low) && choice.low < choice.high)) {
        throw new UserError(
          `stretch from ${choice.low} to ${choice.high}: the first must be smaller`,
          EXIT_CODES.usage,
        );
      }
      return bands.map(() => choice);
    }
    if (choice === 'none' || (choice === 'auto' && this.sampleType === 'uint8')) {
      return bands.map(() => typeRange(this.sampleType));
    }
    const measured = await this.percentileRanges(bands);
    return measured.map((range) => range ?? { low: 0, high: 0 });
  }

  private async percentileRanges(bands: readonly number[]): Promise<(StretchRange | null)[]> {
    const unknown = bands.filter((band, i) => !this.percentiles.has(band) && bands.indexOf(band) === i);
    if (unknown.length > 0) {
      const measured = percentileRanges(this.source, unknown);
      unknown.forEach((band, i) => {
        this.percentiles.set(
          band,
          measured.then((ranges) => ranges[i]!),
        );
      });
    }
    return Promise.all(bands.map((band) => this.percentiles.get(band)!));
  }
}

/**
 * Opens a picture: GeoTIFF (any sample type, strips or tiles, overviews, alpha, no-data), PNG, JPEG or WebP; from a path,
 * an http(s) address of a TIFF that is read by ranges, or bytes; also pixels in memory. EXIF orientation is applied.
 *
 * @throws UserError when it is missing, a folder, empty, cut short or not a picture
 */
export async function openRaster(
  input: string | Uint8Array | RgbImage,
  options: RasterOptions = {},
): Promise<Raster> {
  if (typeof input === 'object' && !(input instanceof Uint8Array)) {
    return Raster.create(options.name ?? 'image', new MemorySource(input), null, options);
  }
  if (typeof input === 'string' && /^https?:\/\//.test(input)) {
    const name = options.name ?? input;
    return Raster.create(name, await GeoTiffSource.open(input, name), null, options);
  }
  const bytes =
    typeof input === 'string' ? null : Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const path = typeof input === 'string' ? input : null;
  const name = options.name ?? path ?? 'image';
  const head = bytes === null ? await readHead(input as string, name) : bytes.subarray(0, 4);
  if (head.length === 0) {
    throw new UserError(`${name}: the file is empty (0 bytes); copy or download it again`, EXIT_CODES.data);
  }
  const isTiff = ['49492a00', '4d4d002a', '49492b00', '4d4d002b'].includes(head.toString('hex'));
  const source = isTiff
    ? await GeoTiffSource.open(bytes ?? (input as string), name)
    : await SharpSource.open(bytes ?? (input as string), name);
  try {
    return await Raster.create(name, source, path, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** First four bytes of a file, with the usual mistakes explained. */
async function readHead(path: string, name: string): Promise<Buffer> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) {
      throw new UserError(`${name}: is a folder; give one picture file`, EXIT_CODES.data);
    }
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new UserError(`${name}: no such file; check the path`, EXIT_CODES.data, { cause: error });
    }
    if (code === 'EACCES' || code === 'EPERM') {
      throw new UserError(`${name}: no permission to read it; check its mode and owner`, EXIT_CODES.data, {
        cause: error,
      });
    }
    throw error;
  }
}

function checkBands(bands: readonly number[], count: number, name: string): void {
  const fits = bands.every((band) => Number.isInteger(band) && band >= 0 && band < count);
  if (fits && (bands.length === 1 || bands.length === 3)) return;
  throw new UserError(
    `${basename(name)}: bands ${bands.join(',')} cannot be shown; give one or three of 0 to ${count - 1}`,
    EXIT_CODES.usage,
  );
}

function checkWindow(window: Window, width: number, height: number): void {
  const { x, y } = window;
  const whole = [x, y, window.width, window.height].every(Number.isInteger);
  const inside = x >= 0 && y >= 0 && x + window.width <= width && y + window.height <= height;
  if (whole && inside && window.width > 0 && window.height > 0) return;
  throw new RangeError(
    `[Raster.read] expected a window of whole pixels inside ${width}x${height} ` +
      `but received ${window.width}x${window.height} at (${x}, ${y})`,
  );
}

function checkSize(size: { width: number; height: number }, name: string): void {
  if (!(Number.isInteger(size.width) && Number.isInteger(size.height) && size.width > 0 && size.height > 0)) {
    throw new RangeError(`[Raster.read] expected a positive size but received ${size.width}x${size.height}`);
  }
  if (size.width * size.height > MAX_OUTPUT_PIXELS) {
    throw new UserError(
      `${name}: ${size.width}x${size.height} pixels are too many to hold at once; read it in tiles or smaller`,
      EXIT_CODES.data,
    );
  }
}

function format(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
