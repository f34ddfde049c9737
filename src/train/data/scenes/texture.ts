// SPDX-License-Identifier: Apache-2.0
import { Random } from '../../../random.js';
import { mix } from './palette.js';
import type { Canvas, Mask } from './raster.js';
import type { Rgb } from './types.js';

const SIDE = 256;
let cloudTile: Float32Array | null = null;
let grainTile: Float32Array | null = null;

/** A tile of smooth noise that repeats without a seam: octaves of value noise, about [-1, 1]. Made once. */
function clouds(): Float32Array {
  if (cloudTile) return cloudTile;
  const random = new Random(20240521);
  const tile = new Float32Array(SIDE * SIDE);
  for (let cells = 8, weight = 0.42; cells <= 128; cells *= 2, weight *= 0.78) {
    const lattice = Float32Array.from({ length: cells * cells }, () => random.range(-1, 1));
    const step = cells / SIDE;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        tile[y * SIDE + x] = tile[y * SIDE + x]! + weight * interpolate(lattice, cells, x * step, y * step);
      }
    }
  }
  cloudTile = tile;
  return tile;
}

function interpolate(lattice: Float32Array, cells: number, x: number, y: number): number {
  const xi = Math.floor(x);
  const yi = Math.floor(y);
  const ease = (t: number): number => t * t * (3 - 2 * t);
  const fx = ease(x - xi);
  const fy = ease(y - yi);
  const at = (cx: number, cy: number): number => lattice[(cy % cells) * cells + (cx % cells)]!;
  const upper = at(xi, yi) + (at(xi + 1, yi) - at(xi, yi)) * fx;
  const lower = at(xi, yi + 1) + (at(xi + 1, yi + 1) - at(xi, yi + 1)) * fx;
  return upper + (lower - upper) * fy;
}

/** Independent normal numbers, standard deviation 1; read from a random start, it serves as sensor noise. */
export function grain(): Float32Array {
  if (!grainTile) {
    const random = new Random(7919);
    grainTile = Float32Array.from({ length: 1 << 17 }, () => random.normal());
  }
  return grainTile;
}

/** A surface that wavers between two colours. */
export interface Brush {
  low: Rgb;
  high: Rgb;
  /** Size of one noise tile pixel in picture pixels; larger is smoother. */
  stretch: readonly [along: number, across: number];
  offset: readonly [number, number];
}

/** A brush around `rgb`; `contrast` is the distance of its two colours, in units of 255. */
export function brush(rgb: Rgb, contrast: number, stretch: number, random: Random, anisotropy = 1): Brush {
  const light: Rgb = [255, 255, 250];
  return {
    low: mix(rgb, [0, 0, 0], contrast),
    high: mix(rgb, light, contrast * 0.8),
    stretch: [stretch * anisotropy, stretch],
    offset: [random.integer(SIDE), random.integer(SIDE)],
  };
}

/** Paints the brush over the whole canvas, or where the mask covers. */
export function paintTexture(canvas: Canvas, paint: Brush, mask?: Mask, alpha = 1): void {
  const tile = clouds();
  const { low, high } = paint;
  const x0 = mask ? Math.max(0, mask.x) : 0;
  const y0 = mask ? Math.max(0, mask.y) : 0;
  const x1 = mask ? Math.min(canvas.width, mask.x + mask.width) : canvas.width;
  const y1 = mask ? Math.min(canvas.height, mask.y + mask.height) : canvas.height;
  const stepX = 1 / paint.stretch[0];
  const stepY = 1 / paint.stretch[1];
  const data = canvas.data;
  for (let y = y0; y < y1; y++) {
    const v = y * stepY + paint.offset[1];
    const vi = Math.floor(v);
    const fv = v - vi;
    const upper = (vi & 255) << 8;
    const lower = ((vi + 1) & 255) << 8;
    let o = (y * canvas.width + x0) * 3;
    let m = mask ? (y - mask.y) * mask.width + (x0 - mask.x) : 0;
    for (let x = x0; x < x1; x++, o += 3, m++) {
      const cover = mask ? mask.data[m]! * alpha : alpha;
      if (cover <= 0) continue;
      const u = x * stepX + paint.offset[0];
      const ui = u | 0; // never negative
      const fu = u - ui;
      const a = ui & 255;
      const b = (ui + 1) & 255;
      const up = tile[upper | a]! + (tile[upper | b]! - tile[upper | a]!) * fu;
      const down = tile[lower | a]! + (tile[lower | b]! - tile[lower | a]!) * fu;
      const t = 0.5 + 0.5 * (up + (down - up) * fv);
      data[o] = data[o]! + (low[0] + (high[0] - low[0]) * t - data[o]!) * cover;
      data[o + 1] = data[o + 1]! + (low[1] + (high[1] - low[1]) * t - data[o + 1]!) * cover;
      data[o + 2] = data[o + 2]! + (low[2] + (high[2] - low[2]) * t - data[o + 2]!) * cover;
    }
  }
}
