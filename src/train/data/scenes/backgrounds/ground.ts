// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import type { KindName, Surface } from '../kinds/index.js';
import { vary } from '../palette.js';
import { type Canvas, contains, ellipse, rasterise, strip } from '../raster.js';
import { type Brush, brush, paintTexture } from '../texture.js';
import type { Landmark, Point, Rgb } from '../types.js';

/** A part of the ground of one surface; things on it tend to follow its heading. */
export interface Region {
  surface: Surface;
  points: Point[];
  /** Degrees clockwise from up. */
  heading?: number;
}

/** What a background tells the layout: later regions lie on top of earlier ones and of `base`. */
export interface Ground {
  base: Surface;
  regions: Region[];
  landmarks: Landmark[];
}

/** One family of backgrounds. */
export interface BackgroundSpec {
  /** How often each kind of object is put there, relative weights. */
  kinds: Partial<Record<KindName, number>>;
  /** Kinds that the background shows without labels. */
  ambient: readonly KindName[];
  /** Paints the whole canvas. `unit` is the number of pixels that one pixel of a 160-pixel picture has become. */
  paint: (canvas: Canvas, random: Random, unit: number) => Ground;
}

/** The topmost region under a point, or null on the base surface. */
export function regionAt(ground: Ground, x: number, y: number): Region | null {
  for (let i = ground.regions.length - 1; i >= 0; i--) {
    const region = ground.regions[i]!;
    if (contains(region.points, x, y)) return region;
  }
  return null;
}

/** Texture over a polygon, or over everything. */
export function cover(canvas: Canvas, paint: Brush, points?: readonly Point[], alpha = 1): void {
  if (!points) {
    paintTexture(canvas, paint, undefined, alpha);
    return;
  }
  const mask = rasterise([points], canvas.width, canvas.height);
  if (mask) paintTexture(canvas, paint, mask, alpha);
}

export const SOILS: readonly Rgb[] = [
  [96, 112, 66],
  [118, 122, 80],
  [138, 124, 92],
  [84, 100, 62],
  [152, 140, 110],
];
export const PAVEMENTS: readonly Rgb[] = [
  [128, 126, 122],
  [142, 138, 130],
  [112, 112, 114],
  [150, 148, 144],
];

/** Open land: a mottled tone with a few softer patches. */
export function paintLand(canvas: Canvas, random: Random, unit: number, points?: readonly Point[]): void {
  const soil = vary(random.pick(SOILS), 10, random);
  cover(canvas, brush(soil, random.range(0.12, 0.3), random.range(0.6, 1.6) * unit, random), points);
}

/** Water: dark, muted, with longer waves one way. */
export function paintWater(canvas: Canvas, random: Random, unit: number, points?: readonly Point[]): void {
  const tone = random.pick<Rgb>([
    [40, 66, 78],
    [34, 60, 66],
    [58, 82, 88],
    [46, 74, 72],
    [66, 84, 82],
  ]);
  const waves = brush(
    vary(tone, 8, random),
    random.range(0.06, 0.2),
    random.range(0.35, 1) * unit,
    random,
    2.5,
  );
  cover(canvas, waves, points);
}

/** Unlabelled trees: muted dark crowns with a lit side. */
export function paintTrees(
  canvas: Canvas,
  random: Random,
  unit: number,
  count: number,
  allowed: (x: number, y: number) => boolean,
): void {
  const leaf = vary([52, 72, 44], 8, random);
  for (let i = 0; i < count; i++) {
    const x = random.range(0, canvas.width);
    const y = random.range(0, canvas.height);
    if (!allowed(x, y)) continue;
    const radius = random.range(2, 5) * unit;
    const tone = vary(leaf, 10, random);
    canvas.polygon(ellipse([x + radius * 0.5, y + radius * 0.5], radius, radius, 12), [20, 24, 20], 0.35);
    canvas.polygon(ellipse([x, y], radius, radius, 12), tone);
    canvas.polygon(ellipse([x - radius * 0.25, y - radius * 0.25], radius * 0.5, radius * 0.5, 8), [
      tone[0] + 18,
      tone[1] + 20,
      tone[2] + 12,
    ]);
  }
}

/** A segment that crosses the whole picture through (x, y) with the given heading, with room to spare. */
export function crossing(canvas: Canvas, x: number, y: number, heading: number): [Point, Point] {
  const reach = canvas.width + canvas.height;
  const t = (heading * Math.PI) / 180;
  const [dx, dy] = [Math.sin(t) * reach, -Math.cos(t) * reach];
  return [
    [x - dx, y - dy],
    [x + dx, y + dy],
  ];
}

/** Point at `t` in [0, 1] of a segment. */
export function along(axis: readonly [Point, Point], t: number): Point {
  return [axis[0][0] + (axis[1][0] - axis[0][0]) * t, axis[0][1] + (axis[1][1] - axis[0][1]) * t];
}

/** Dashes along a segment: `period` pixels apart, `part` of each painted. */
export function dashes(
  canvas: Canvas,
  axis: readonly [Point, Point],
  period: number,
  part: number,
  thickness: number,
  rgb: Rgb,
  alpha: number,
): void {
  const length = Math.hypot(axis[1][0] - axis[0][0], axis[1][1] - axis[0][1]);
  const margin = thickness + period;
  for (let at = 0; at < length; at += period) {
    const from = along(axis, at / length);
    if (
      from[0] < -margin ||
      from[1] < -margin ||
      from[0] > canvas.width + margin ||
      from[1] > canvas.height + margin
    )
      continue;
    canvas.line(from, along(axis, Math.min(1, (at + period * part) / length)), thickness, rgb, alpha);
  }
}

/** Asphalt along a segment with a dashed middle line. Returns its outline. */
export function paintRoad(
  canvas: Canvas,
  random: Random,
  unit: number,
  axis: readonly [Point, Point],
  width: number,
): Point[] {
  const outline = strip(axis[0], axis[1], width);
  const asphalt = vary([92, 92, 95], 12, random);
  cover(canvas, brush(asphalt, 0.1, unit, random), strip(axis[0], axis[1], width * 1.16));
  cover(canvas, brush([asphalt[0] - 14, asphalt[1] - 14, asphalt[2] - 13], 0.1, 0.6 * unit, random), outline);
  dashes(canvas, axis, 9 * unit, 0.5, 0.8 * unit, [206, 204, 192], 0.75);
  return outline;
}
