// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { fromArrayBuffer, fromFile, fromUrl, type GeoTIFF, type GeoTIFFImage } from 'geotiff';
import { EXIT_CODES, UserError } from '../errors.js';
import type { BandArray, BandData, BandSource, Level, Window } from './band_source.js';
import { type GeoTags, readGeoTags } from './georeference.js';

/** Decoded blocks are kept up to this many bytes, so that neighbouring windows do not decode a strip twice. */
const BLOCK_CACHE_BYTES = 96 * 1024 * 1024;
/** Strips are read in groups of at least this many rows: one request per row would be slow. */
const MIN_BLOCK_ROWS = 64;
/** A single strip or tile above this is refused: it cannot be read in parts, so memory would not stay flat. */
const MAX_BLOCK_BYTES = 1024 * 1024 * 1024;

/** Tag values of TIFF 6.0 that matter here. */
const PHOTOMETRIC = { blackIsZero: 1, rgb: 2, transparencyMask: 4 } as const;
const SUBFILE = { reduced: 1, mask: 4 } as const;
const SAMPLE_FORMATS: Readonly<Record<number, string>> = { 1: 'uint', 2: 'int', 3: 'float' };

interface Block {
  bands: BandArray[];
  window: Window;
  bytes: number;
}

/** GeoTIFF, COG and BigTIFF, from a file, a buffer or a URL with range requests. */
export class GeoTiffSource implements BandSource {
  readonly levels: readonly Level[];
  readonly bandCount: number;
  readonly sampleType: string;
  readonly noData: number | null;
  /** Sample index of the alpha band, or null. */
  private readonly alphaSample: number | null;
  /** Palette, YCbCr and the like are turned into three 8-bit bands by the decoder. */
  private readonly decodeAsRgb: boolean;
  private readonly blocks = new Map<string, Promise<Block>>();
  private cachedBytes = 0;

  private constructor(
    private readonly name: string,
    private readonly file: GeoTIFF,
    private readonly images: readonly GeoTIFFImage[],
    readonly geoTags: GeoTags | null,
  ) {
    const image = images[0]!;
    this.levels = images.map((level) => ({ width: level.getWidth(), height: level.getHeight() }));
    const samples = image.getSamplesPerPixel();
    const bits = image.getBitsPerSample(0);
    const kind = SAMPLE_FORMATS[image.getSampleFormat(0)];
    const photometric: number = image.fileDirectory.getValue('PhotometricInterpretation') ?? 1;
    const plain = photometric === PHOTOMETRIC.blackIsZero || photometric === PHOTOMETRIC.rgb;
    this.decodeAsRgb = kind === 'uint' && bits <= 8 && (!plain || bits < 8);
    this.alphaSample = this.decodeAsRgb ? null : alphaIndex(image);
    this.bandCount = this.decodeAsRgb ? 3 : samples - (this.alphaSample === null ? 0 : 1);
    const storedBits = bits <= 8 ? 8 : bits <= 16 && kind !== 'float' ? 16 : bits <= 32 ? 32 : 64;
    this.sampleType = this.decodeAsRgb ? 'uint8' : `${kind}${storedBits}`;
    const noData = image.getGDALNoData();
    this.noData = noData !== null && this.sampleType === 'float32' ? Math.fround(noData) : noData;
  }

  /**
   * @param input path, URL, or the bytes of a file
   * @param name how errors call the picture
   * @throws UserError when the file is damaged, cut short, or of an unsupported kind
   */
  static async open(input: string | Buffer, name: string): Promise<GeoTiffSource> {
    try {
      const file = await openTiff(input);
      try {
        const images = await pictureLevels(file);
        const first = images[0]!;
        checkSupported(first, name);
        const length = await byteLength(input);
        if (length !== null) await checkNotTruncated(first, length, name);
        return new GeoTiffSource(name, file, images, await readGeoTags(first));
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      throw damaged(name, error);
    }
  }

  async readBands(level: number, window: Window, bands: readonly number[]): Promise<BandData> {
    const image = this.images[level]!;
    const samples = this.alphaSample === null ? [...bands] : [...bands, this.alphaSample];
    const { columns, rows } = blockGrid(image);
    const out = samples.map((sample) => this.allocate(image, sample, window.width * window.height));
    const lastX = Math.floor((window.x + window.width - 1) / columns);
    const lastY = Math.floor((window.y + window.height - 1) / rows);
    // One block after the other: decoding them all at once would hold the whole window twice.
    for (let by = Math.floor(window.y / rows); by <= lastY; by++) {
      for (let bx = Math.floor(window.x / columns); bx <= lastX; bx++) {
        const block = await this.block(level, bx, by, samples);
        copyOverlap(block, window, out);
      }
    }
    const alpha = this.alphaSample === null ? null : out.pop()!;
    return { width: window.width, height: window.height, bands: out, alpha };
  }

  async close(): Promise<void> {
    this.blocks.clear();
    await this.file.close();
  }

  private allocate(image: GeoTIFFImage, sample: number, length: number): BandArray {
    return this.decodeAsRgb ? new Uint8Array(length) : image.getArrayForSample(sample, length);
  }

  private async block(level: number, bx: number, by: number, samples: number[]): Promise<Block> {
    const key = `${level}/${bx}/${by}/${samples.join(',')}`;
    let block = this.blocks.get(key);
    if (block === undefined) {
      block = this.readBlock(level, bx, by, samples);
      block.then((b) => this.forgetOldest(b.bytes)).catch(() => this.blocks.delete(key));
    } else {
      this.blocks.delete(key); // put back at the end: the map's order is the order of use
    }
    this.blocks.set(key, block);
    return block;
  }

  private async readBlock(level: number, bx: number, by: number, samples: number[]): Promise<Block> {
    const image = this.images[level]!;
    const { columns, rows } = blockGrid(image);
    const x = bx * columns;
    const y = by * rows;
    const width = Math.min(columns, image.getWidth() - x);
    const height = Math.min(rows, image.getHeight() - y);
    const area = [x, y, x + width, y + height];
    try {
      let bands: BandArray[];
      if (this.decodeAsRgb) {
        const rgb = await image.readRGB({ window: area, interleave: true });
        bands = samples.map((s) => Uint8Array.from({ length: width * height }, (_, i) => rgb[i * 3 + s]!));
      } else {
        bands = await image.readRasters({ window: area, samples: [...samples], interleave: false });
      }
      const bytes = bands.reduce((sum, band) => sum + band.byteLength, 0);
      return { bands: [...bands], window: { x, y, width, height }, bytes };
    } catch (error) {
      throw damaged(this.name, error);
    }
  }

  private async forgetOldest(added: number): Promise<void> {
    this.cachedBytes += added;
    for (const [key, old] of this.blocks) {
      if (this.cachedBytes <= BLOCK_CACHE_BYTES) break;
      this.blocks.delete(key);
      this.cachedBytes -= (await old.catch(() => null))?.bytes ?? 0;
    }
  }
}

async function openTiff(input: string | Buffer): Promise<GeoTIFF> {
  if (typeof input !== 'string') {
    const exact = new Uint8Array(input.byteLength);
    exact.set(input);
    return fromArrayBuffer(exact.buffer);
  }
  return /^https?:\/\//.test(input) ? fromUrl(input) : fromFile(input);
}

async function byteLength(input: string | Buffer): Promise<number | null> {
  if (typeof input !== 'string') return input.byteLength;
  if (/^https?:\/\//.test(input)) return null;
  const file = await open(input);
  try {
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

/** The full picture and its overviews, finest first; thumbnails of another shape, masks and further pages are left out. */
async function pictureLevels(file: GeoTIFF): Promise<GeoTIFFImage[]> {
  const first = await file.getImage(0);
  const levels = [first];
  const count = await file.getImageCount();
  for (let i = 1; i < count; i++) {
    const image = await file.getImage(i);
    const subfile: number = image.fileDirectory.getValue('NewSubfileType') ?? 0;
    const isOverview = (subfile & SUBFILE.reduced) !== 0 && (subfile & SUBFILE.mask) === 0;
    const sameBands = image.getSamplesPerPixel() === first.getSamplesPerPixel();
    const shrink = first.getWidth() / image.getWidth();
    const sameShape = Math.abs(first.getHeight() / shrink - image.getHeight()) <= 2;
    if (isOverview && sameBands && sameShape && shrink > 1) levels.push(image);
  }
  return levels.sort((a, b) => b.getWidth() - a.getWidth());
}

/** First alpha among the extra samples (TIFF 6.0: 1 = associated, 2 = unassociated), or null. */
function alphaIndex(image: GeoTIFFImage): number | null {
  const extra = image.fileDirectory.getValue('ExtraSamples');
  if (extra === undefined || extra === null) return null;
  const kinds = Array.from(extra as ArrayLike<number>);
  const position = kinds.findIndex((kind) => kind === 1 || kind === 2);
  // Only a last band can be told from a measurement by every reader; GDAL writes it last.
  return position >= 0 && position === kinds.length - 1 ? image.getSamplesPerPixel() - 1 : null;
}

function checkSupported(image: GeoTIFFImage, name: string): void {
  const format = image.getSampleFormat(0);
  if (SAMPLE_FORMATS[format] === undefined) {
    throw new UserError(
      `${name}: its samples are complex numbers (TIFF sample format ${format}), not a picture; ` +
        'convert it to intensity first, e.g. with gdal_calc.py',
      EXIT_CODES.data,
    );
  }
  const { columns, rows } = blockGrid(image);
  const bytes = columns * rows * image.getBytesPerPixel();
  if (bytes > MAX_BLOCK_BYTES) {
    throw new UserError(
      `${name}: stored as one piece of ${Math.round(bytes / 2 ** 20)} MiB, which cannot be read in parts; ` +
        'rewrite it in tiles: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE in.tif out.tif',
      EXIT_CODES.data,
    );
  }
}

/** A short read gives zeros, not an error: compare every strip's or tile's end with the file's length. */
async function checkNotTruncated(image: GeoTIFFImage, length: number, name: string): Promise<void> {
  const directory = image.fileDirectory;
  const offsets = await directory.loadValue(image.isTiled ? 'TileOffsets' : 'StripOffsets');
  const counts = await directory.loadValue(image.isTiled ? 'TileByteCounts' : 'StripByteCounts');
  const offsetList = Array.from((offsets ?? []) as ArrayLike<number | bigint>, Number);
  const countList = Array.from((counts ?? []) as ArrayLike<number | bigint>, Number);
  if (offsetList.length === 0 || offsetList.length !== countList.length) {
    throw new Error('no pixel data');
  }
  const end = offsetList.reduce((most, offset, i) => Math.max(most, offset + countList[i]!), 0);
  if (end > length) {
    throw new UserError(
      `${name}: cut short: pixel data should reach byte ${end} but the file has ${length}; copy or download it again`,
      EXIT_CODES.data,
    );
  }
}

/** Size of the pieces that are read at a time: a tile, or a group of whole strips. */
function blockGrid(image: GeoTIFFImage): { columns: number; rows: number } {
  const columns = image.getTileWidth();
  const tileRows = image.getTileHeight();
  if (!(columns > 0 && tileRows > 0)) throw new Error('no strips or tiles');
  const rows = image.isTiled ? tileRows : tileRows * Math.max(1, Math.ceil(MIN_BLOCK_ROWS / tileRows));
  return { columns, rows };
}

function copyOverlap(block: Block, window: Window, out: readonly BandArray[]): void {
  const x0 = Math.max(window.x, block.window.x);
  const x1 = Math.min(window.x + window.width, block.window.x + block.window.width);
  const y0 = Math.max(window.y, block.window.y);
  const y1 = Math.min(window.y + window.height, block.window.y + block.window.height);
  for (let y = y0; y < y1; y++) {
    const from = (y - block.window.y) * block.window.width + (x0 - block.window.x);
    const to = (y - window.y) * window.width + (x0 - window.x);
    out.forEach((target, band) => {
      target.set(block.bands[band]!.subarray(from, from + x1 - x0), to);
    });
  }
}

function damaged(name: string, error: unknown): unknown {
  if (error instanceof UserError) return error;
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
  const remedy = /compression/i.test(reason)
    ? 'rewrite it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE in.tif out.tif'
    : 'copy or download it again';
  return new UserError(`${name}: not a readable TIFF (${reason}); ${remedy}`, EXIT_CODES.data, {
    cause: error,
  });
}
