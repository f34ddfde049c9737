// SPDX-License-Identifier: Apache-2.0
import type { GeoTags } from './georeference.js';

/** A rectangle of whole pixels. */
export interface Window {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Sample arrays as they lie in the file, one number per pixel and band. */
export type BandArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** A window of some bands; `alpha` (0 = transparent) where the file has it. */
export interface BandData {
  width: number;
  height: number;
  /** One array of `width * height` samples per asked band, row-major. */
  bands: BandArray[];
  alpha: BandArray | null;
}

/** The picture at one resolution; level 0 is the full one, later ones are the file's overviews, finest first. */
export interface Level {
  width: number;
  height: number;
}

/**
 * Where pixels come from. Knows formats, not colours: stretching, padding and resampling are the raster's.
 * `readBands` must not hold more than the asked window and a bounded cache in memory.
 */
export interface BandSource {
  readonly levels: readonly Level[];
  /** Number of colour or measurement bands; alpha is not counted. */
  readonly bandCount: number;
  /** `uint8`, `uint16`, `float32`, ... */
  readonly sampleType: string;
  /** Value that marks a missing sample, or null. */
  readonly noData: number | null;
  /** Georeference tags inside the file, or null when the format has none. */
  readonly geoTags: GeoTags | null;
  readBands(level: number, window: Window, bands: readonly number[]): Promise<BandData>;
  close(): Promise<void>;
}
