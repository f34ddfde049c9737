// SPDX-License-Identifier: Apache-2.0
import type { BandArray, BandData, BandSource, Window } from './band_source.js';

/** What samples become 0 and 255, one range per band of the source. */
export interface StretchRange {
  low: number;
  high: number;
}

/**
 * How samples become 8-bit colours. `auto`: 8-bit pictures as they are, others by the 2nd and 98th percentile of each
 * band. `none`: the type's whole range. A range: the same two values for every band.
 */
export type StretchChoice = 'auto' | 'none' | 'percentile' | StretchRange;

const LOW_PERCENTILE = 2;
const HIGH_PERCENTILE = 98;
/** Samples per band that percentiles are taken of; more changes them by less than one grey level. */
const MAX_SAMPLES = 200_000;
/** A level up to this many pixels is read whole, a larger one in windows spread over it. */
const MAX_WHOLE_PIXELS = 1 << 20;
const WINDOWS_PER_SIDE = 5;
const WINDOW_PIXELS = 256;

const INTEGER_RANGES: Readonly<Record<string, StretchRange>> = {
  uint8: { low: 0, high: 255 },
  int8: { low: -128, high: 127 },
  uint16: { low: 0, high: 65535 },
  int16: { low: -32768, high: 32767 },
  uint32: { low: 0, high: 4294967295 },
  int32: { low: -2147483648, high: 2147483647 },
};

/** The whole range of a sample type; floating-point pictures without a stretch are taken to lie in [0, 1]. */
export function typeRange(sampleType: string): StretchRange {
  return INTEGER_RANGES[sampleType] ?? { low: 0, high: 1 };
}

/**
 * Percentile ranges of some bands, from a subsample: an overview where the file has one, else windows on a grid. No-data
 * samples, NaN and transparent pixels do not count. The same for the same file, always.
 *
 * @returns one range per band, `low === high` when a band has no contrast, null when it has no valid sample
 */
export async function percentileRanges(
  source: BandSource,
  bands: readonly number[],
): Promise<(StretchRange | null)[]> {
  const parts: BandData[] = [];
  const { level, windows } = subsample(source);
  for (const window of windows) parts.push(await source.readBands(level, window, bands));
  return bands.map((_, i) => {
    const pixels = parts.reduce((sum, part) => sum + part.width * part.height, 0);
    const values = validSamples(parts, i, Math.max(1, Math.ceil(pixels / MAX_SAMPLES)), source.noData);
    if (values.length === 0) return null;
    values.sort();
    const at = (percent: number): number => values[Math.round((percent / 100) * (values.length - 1))]!;
    const range = { low: at(LOW_PERCENTILE), high: at(HIGH_PERCENTILE) };
    // A few bright objects on an even ground: percentiles meet, but the picture does have contrast.
    return range.low < range.high ? range : { low: values[0]!, high: values.at(-1)! };
  });
}

/** Level and windows that stand for the whole picture. */
function subsample(source: BandSource): { level: number; windows: Window[] } {
  const last = source.levels.length - 1;
  const fitting = source.levels.findIndex(({ width, height }) => width * height <= MAX_WHOLE_PIXELS);
  const level = fitting >= 0 ? fitting : last;
  const { width, height } = source.levels[level]!;
  if (fitting >= 0) return { level, windows: [{ x: 0, y: 0, width, height }] };
  const size = { width: Math.min(width, WINDOW_PIXELS), height: Math.min(height, WINDOW_PIXELS) };
  const windows: Window[] = [];
  for (let row = 0; row < WINDOWS_PER_SIDE; row++) {
    for (let column = 0; column < WINDOWS_PER_SIDE; column++) {
      const x = Math.round(((width - size.width) * column) / (WINDOWS_PER_SIDE - 1));
      const y = Math.round(((height - size.height) * row) / (WINDOWS_PER_SIDE - 1));
      windows.push({ x, y, ...size });
    }
  }
  return { level, windows };
}

function validSamples(
  parts: readonly BandData[],
  band: number,
  step: number,
  noData: number | null,
): Float64Array {
  const values: number[] = [];
  for (const part of parts) {
    const samples = part.bands[band]!;
    for (let i = 0; i < samples.length; i += step) {
      const value = samples[i]!;
      const missing = !Number.isFinite(value) || value === noData || part.alpha?.[i] === 0;
      if (!missing) values.push(value);
    }
  }
  return Float64Array.from(values);
}

/**
 * Bands to interleaved 8-bit RGB. Pixels without data (NaN, transparent, every band no-data) become black.
 *
 * @param data one or three bands; one gives grey
 * @param ranges one per band
 * @param noData null to leave every value as it is
 */
export function toRgb(data: BandData, ranges: readonly StretchRange[], noData: number | null): Uint8Array {
  const pixels = data.width * data.height;
  const rgb = new Uint8Array(pixels * 3);
  for (let channel = 0; channel < 3; channel++) {
    const band = data.bands.length === 1 ? 0 : channel;
    stretchBand(data.bands[band]!, ranges[band]!, rgb, channel);
  }
  const missing = (i: number): boolean =>
    data.alpha?.[i] === 0 || (noData !== null && data.bands.every((band) => band[i] === noData));
  if (data.alpha !== null || noData !== null) {
    for (let i = 0; i < pixels; i++) if (missing(i)) rgb.fill(0, i * 3, i * 3 + 3);
  }
  return rgb;
}

function stretchBand(
  samples: BandArray,
  { low, high }: StretchRange,
  rgb: Uint8Array,
  channel: number,
): void {
  // No contrast: mid-grey, so that it is at least seen to be even.
  const scale = high > low ? 255 / (high - low) : 0;
  const offset = high > low ? 0.5 : 128;
  for (let i = 0, at = channel; i < samples.length; i++, at += 3) {
    const value = (samples[i]! - low) * scale + offset;
    rgb[at] = value > 0 ? Math.min(255, value) : 0; // NaN gives 0
  }
}
