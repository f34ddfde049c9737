// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import { ellipse } from '../raster.js';
import type { Point, Rgb } from '../types.js';

/** Colour of a part: the object's own, lighter or darker by `shade` in [-1, 1], or a fixed one. */
export type Paint = { shade: number } | { rgb: Rgb };

/**
 * A polygon of an object, in units of the object's length: x forward in [-0.5, 0.5], y to the right.
 * Parts are painted in order; the solid ones together are the silhouette.
 */
export interface Part {
  points: Point[];
  paint: Paint;
  alpha: number;
  solid: boolean;
}

/** Surfaces that backgrounds offer. */
export type Surface = 'water' | 'ground' | 'road' | 'runway' | 'pier';

/** What the generator knows about a kind of object. */
export interface KindSpec {
  /** Length in pixels at scale 1 (a 160-pixel picture). */
  length: readonly [low: number, high: number];
  /** Width over length. */
  aspect: readonly [low: number, high: number];
  /** Height over length, for the shadow. */
  height: number;
  surfaces: readonly Surface[];
  /** Airborne things cast their shadow apart from themselves and may be over any surface. */
  flies: boolean;
  /** Parts for a given width over length. */
  draw: (aspect: number, random: Random) => Part[];
}

export const GLASS: Rgb = [38, 48, 60];
export const METAL: Rgb = [196, 198, 200];

/** A part of the silhouette. */
export function solid(points: Point[], paint: Paint): Part {
  return { points, paint, alpha: 1, solid: true };
}

/** A detail painted on top of the silhouette. */
export function detail(points: Point[], paint: Paint, alpha = 1): Part {
  return { points, paint, alpha, solid: false };
}

/** Corners of the rectangle between two opposite corners. */
export function rectangle(x0: number, y0: number, x1: number, y1: number): Point[] {
  return [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ];
}

/** Rectangle with its corners cut by `cut`. */
export function chamfered(x0: number, y0: number, x1: number, y1: number, cut: number): Point[] {
  return [
    [x0 + cut, y0],
    [x1 - cut, y0],
    [x1, y0 + cut],
    [x1, y1 - cut],
    [x1 - cut, y1],
    [x0 + cut, y1],
    [x0, y1 - cut],
    [x0, y0 + cut],
  ];
}

/** Closes a right-hand outline (y >= 0, from bow to stern) with its mirror image. */
export function mirrored(outline: readonly Point[]): Point[] {
  const other = [...outline].reverse().map(([x, y]): Point => [x, -y]);
  return [...outline, ...other];
}

/** The same shape on the other side of the axis. */
export function flipped(points: readonly Point[]): Point[] {
  return points.map(([x, y]): Point => [x, -y]);
}

export { ellipse };
