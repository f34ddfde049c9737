// SPDX-License-Identifier: Apache-2.0
import type { Point, Rgb } from './types.js';

/** Coverage of pixels, in [0, 1], over a rectangle whose corner is at (x, y). */
export interface Mask {
  x: number;
  y: number;
  width: number;
  height: number;
  data: Float32Array;
}

/** A float RGB picture that shapes are blended onto. */
export class Canvas {
  readonly data: Float32Array;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Float32Array(width * height * 3);
  }

  /** Blends a colour where the mask covers, moved by (dx, dy) whole pixels. */
  fill(mask: Mask, rgb: Rgb, alpha = 1, dx = 0, dy = 0): void {
    const { width, height, data } = this;
    const [red, green, blue] = rgb;
    const left = Math.max(0, -(mask.x + dx));
    const right = Math.min(mask.width, width - mask.x - dx);
    const top = Math.max(0, -(mask.y + dy));
    const bottom = Math.min(mask.height, height - mask.y - dy);
    for (let row = top; row < bottom; row++) {
      let m = row * mask.width + left;
      let o = ((mask.y + dy + row) * width + mask.x + dx + left) * 3;
      for (let column = left; column < right; column++, m++, o += 3) {
        const a = mask.data[m]! * alpha;
        if (a <= 0) continue;
        data[o] = data[o]! + (red - data[o]!) * a;
        data[o + 1] = data[o + 1]! + (green - data[o + 1]!) * a;
        data[o + 2] = data[o + 2]! + (blue - data[o + 2]!) * a;
      }
    }
  }

  /** Fills a polygon given by its corners; `alpha` scales the coverage. */
  polygon(points: readonly Point[], rgb: Rgb, alpha = 1): void {
    const mask = rasterise([points], this.width, this.height);
    if (mask) this.fill(mask, rgb, alpha);
  }

  /** A straight line of some thickness with square ends. */
  line(from: Point, to: Point, thickness: number, rgb: Rgb, alpha = 1): void {
    this.polygon(strip(from, to, thickness), rgb, alpha);
  }

  /** A disc. */
  disc(centre: Point, radius: number, rgb: Rgb, alpha = 1): void {
    this.polygon(ellipse(centre, radius, radius), rgb, alpha);
  }
}

/** Rectangle along a segment, `thickness` wide. */
export function strip(from: Point, to: Point, thickness: number): Point[] {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const half = thickness / 2 / Math.max(1e-6, Math.hypot(dx, dy));
  const nx = -dy * half;
  const ny = dx * half;
  return [
    [from[0] + nx, from[1] + ny],
    [to[0] + nx, to[1] + ny],
    [to[0] - nx, to[1] - ny],
    [from[0] - nx, from[1] - ny],
  ];
}

/** Corners of an axis-aligned ellipse. */
export function ellipse(centre: Point, rx: number, ry: number, corners = 0): Point[] {
  const n = corners || Math.max(10, Math.min(64, Math.ceil(Math.max(rx, ry) * 2)));
  return Array.from({ length: n }, (_, i) => {
    const t = (2 * Math.PI * i) / n;
    return [centre[0] + rx * Math.cos(t), centre[1] + ry * Math.sin(t)] as const;
  });
}

/** Twice the signed area; the sign tells the direction of turning. */
function turning(points: readonly Point[]): number {
  let sum = 0;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    sum += points[j]![0] * points[i]![1] - points[i]![0] * points[j]![1];
  }
  return sum;
}

/** Whether a point lies in a polygon (even-odd rule). */
export function contains(points: readonly Point[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i]!;
    const [xj, yj] = points[j]!;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/**
 * Anti-aliased coverage of the union of simple polygons. The exact area that each edge cuts from the pixels it crosses
 * is accumulated, then summed along rows. With `clipWidth` and `clipHeight` the mask is limited to that picture;
 * without them it covers the whole shape. Null when nothing is left.
 */
export function rasterise(
  polygons: readonly (readonly Point[])[],
  clipWidth = Number.POSITIVE_INFINITY,
  clipHeight = Number.POSITIVE_INFINITY,
): Mask | null {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const points of polygons) {
    for (const [x, y] of points) {
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      if (y > y1) y1 = y;
    }
  }
  const clipped = clipWidth !== Number.POSITIVE_INFINITY;
  const left = clipped ? Math.max(0, Math.floor(x0)) : Math.floor(x0);
  const top = clipped ? Math.max(0, Math.floor(y0)) : Math.floor(y0);
  const width = Math.min(clipWidth, Math.ceil(x1)) - left;
  const height = Math.min(clipHeight, Math.ceil(y1)) - top;
  if (!(width > 0 && height > 0)) return null;
  const stride = width + 2;
  const cells = new Float32Array(stride * height);
  for (const points of polygons) {
    const sign = turning(points) < 0 ? -1 : 1;
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
      const [ax, ay] = points[j]!;
      const [bx, by] = points[i]!;
      if (ay < by) addEdge(cells, stride, width, height, ax - left, ay - top, bx - left, by - top, sign);
      else if (ay > by)
        addEdge(cells, stride, width, height, bx - left, by - top, ax - left, ay - top, -sign);
    }
  }
  const data = new Float32Array(width * height);
  for (let row = 0; row < height; row++) {
    let sum = 0;
    for (let column = 0, c = row * stride, m = row * width; column < width; column++, c++, m++) {
      sum += cells[c]!;
      const cover = Math.abs(sum);
      data[m] = cover > 1 ? 1 : cover < 1e-4 ? 0 : cover;
    }
  }
  return { x: left, y: top, width, height, data };
}

/** Adds the area to the right of a downward edge (ay < by) to the difference buffer. */
function addEdge(
  cells: Float32Array,
  stride: number,
  width: number,
  height: number,
  ax: number,
  ay: number,
  bx: number,
  by: number,
  sign: number,
): void {
  const slope = (bx - ax) / (by - ay);
  const last = Math.min(height, Math.ceil(by));
  let x = ay < 0 ? ax - ay * slope : ax;
  for (let row = Math.max(0, Math.floor(ay)); row < last; row++) {
    const dy = Math.min(row + 1, by) - Math.max(row, ay);
    const next = x + slope * dy;
    const d = dy * sign;
    const from = Math.min(width, Math.max(0, Math.min(x, next)));
    const to = Math.min(width, Math.max(0, Math.max(x, next)));
    x = next;
    const first = Math.floor(from);
    const end = Math.ceil(to);
    const base = row * stride + first;
    if (end <= first + 1) {
      const part = (from + to) / 2 - first;
      cells[base] = cells[base]! + d * (1 - part);
      cells[base + 1] = cells[base + 1]! + d * part;
      continue;
    }
    // Over several pixels: the running integral of the edge, taken pixel by pixel.
    const per = 1 / (to - from);
    let before = 0;
    let sent = 0;
    for (let column = first; column < end; column++) {
      const a = Math.max(from, column);
      const b = Math.min(to, column + 1);
      const share = (b - a) * per;
      const covered = before + share * (column + 1 - (a + b) / 2);
      before += share;
      const i = row * stride + column;
      cells[i] = cells[i]! + d * (covered - sent);
      sent = covered;
    }
    const i = row * stride + end;
    cells[i] = cells[i]! + d * (1 - sent);
  }
}
