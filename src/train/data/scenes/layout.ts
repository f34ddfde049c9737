// SPDX-License-Identifier: Apache-2.0
import { iouXyxy } from '../../../geo/index.js';
import type { Random } from '../../../random.js';
import type { BoxXyxy } from '../types.js';
import { type Ground, regionAt } from './backgrounds/index.js';
import type { Role } from './cast.js';
import { KINDS, type Part, type Surface } from './kinds/index.js';
import { jitterColour } from './palette.js';
import { type Mask, rasterise } from './raster.js';
import type { Difficulty, Point, Rgb } from './types.js';

/** Coverage from which a pixel counts as part of a silhouette. */
export const SOLID_COVERAGE = 0.35;
/** Objects with less of their silhouette inside the picture are not placed. */
export const LEAST_VISIBLE = 0.35;
/** Shortest longer side of a box, pixels. */
export const LEAST_SIZE = 8;

/** An object with its place and its painted parts, in picture coordinates. */
export interface Placed extends Role {
  x: number;
  y: number;
  size: number;
  aspect: number;
  heading: number;
  rgb: Rgb;
  parts: Part[];
  mask: Mask;
  box: [number, number, number, number];
  area: number;
  visible: number;
}

export interface LayoutOptions {
  width: number;
  height: number;
  /** Factor on the lengths of KINDS. */
  scale: number;
  difficulty: Difficulty;
}

/** A layout in the making. */
interface Site {
  ground: Ground;
  options: LayoutOptions;
  /** 1 = a pixel of a placed object, `[height, width]`. */
  taken: Uint8Array;
  placed: Placed[];
  random: Random;
}

/** Finds places for the roles; those that do not fit after some tries are left out. */
export function layOut(
  roles: readonly Role[],
  ground: Ground,
  options: LayoutOptions,
  random: Random,
): Placed[] {
  const taken = new Uint8Array(options.width * options.height);
  const site: Site = { ground, options, taken, placed: [], random };
  for (const role of roles) {
    for (let attempt = 0; attempt < 60; attempt++) {
      const object = propose(role, attempt, site);
      if (!object) continue;
      claim(object.mask, options, taken);
      site.placed.push(object);
      break;
    }
  }
  return site.placed;
}

/** How an object would stand, before it is drawn. */
type Pose = Pick<Placed, 'x' | 'y' | 'size' | 'aspect' | 'heading'>;

function propose(role: Role, attempt: number, site: Site): Placed | null {
  const { options, placed, random, taken } = site;
  const pose = choosePose(role, attempt, site);
  if (!pose) return null;
  const { x, y, size, aspect, heading } = pose;
  const parts = KINDS[role.kind].draw(aspect, random).map((part) => ({
    ...part,
    points: part.points.map(([px, py]) => toPicture(px, py, x, y, size, heading)),
  }));
  const mask = rasterise(parts.filter((part) => part.solid).map((part) => part.points));
  if (!mask) return null;
  const seen = measure(mask, options.width, options.height, taken);
  if (!seen || seen.visible < LEAST_VISIBLE) return null;
  const longer = Math.max(seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]);
  if (longer < leastSize(options)) return null;
  if (placed.some((other) => iouXyxy(other.box, seen.box) > 0.35)) return null;
  const rgb = jitterColour(role.colour, random);
  return { ...role, ...pose, rgb, parts, mask, ...seen };
}

function leastSize({ difficulty }: LayoutOptions): number {
  return difficulty === 'easy' ? 14 : LEAST_SIZE;
}

/** Draws a place, a size and a heading; null where such an object may not stand there. */
function choosePose(role: Role, attempt: number, site: Site): Pose | null {
  const { options, placed, random, ground } = site;
  const { scale } = options;
  const spec = KINDS[role.kind];
  const [low, high] = spec.length;
  // Late attempts try smaller things, so that crowded scenes fill up.
  const shrink = attempt > 30 ? 0.8 : 1;
  const size = Math.max(leastSize(options), (low + (high - low) * random.uniform() ** 1.2) * scale * shrink);
  const aspect = random.range(spec.aspect[0], spec.aspect[1]);
  const neighbour = placed.at(-1);
  const beside =
    neighbour !== undefined &&
    neighbour.kind === role.kind &&
    !spec.flies &&
    attempt < 8 &&
    random.chance(0.35);
  const spot = beside ? besideOf(neighbour, size * aspect, random) : anywhere(options, random);
  const region = regionAt(ground, spot.x, spot.y);
  const surface = region?.surface ?? ground.base;
  const airborne = spec.flies && random.chance(0.3);
  if (!airborne && !spec.surfaces.includes(surface)) return null;
  let heading = beside ? spot.heading : random.range(0, 360);
  if (!beside && region?.heading !== undefined && surface !== 'ground' && random.chance(0.65)) {
    heading = region.heading + (random.chance(0.5) ? 180 : 0) + random.range(-6, 6);
  }
  heading = (heading + 720) % 360;
  const corners = orientedRectangle(spot.x, spot.y, size, size * aspect, heading);
  if (!airborne && !stands(corners, spec.surfaces, ground, scale)) return null;
  if (!beside && placed.some((other) => boxesNear(bounds(corners), other.box, 2.5 * scale))) return null;
  return { x: spot.x, y: spot.y, size, aspect, heading };
}

/** Whether the outline, the flanks and the middle line of a thing lie on surfaces that it may be on. */
function stands(
  corners: readonly Point[],
  surfaces: readonly Surface[],
  ground: Ground,
  scale: number,
): boolean {
  const fits = (x: number, y: number): boolean =>
    surfaces.includes(regionAt(ground, x, y)?.surface ?? ground.base);
  const [fl, fr, br, bl] = [corners[0]!, corners[1]!, corners[2]!, corners[3]!];
  const steps = Math.max(2, Math.ceil(Math.hypot(fl[0] - bl[0], fl[1] - bl[1]) / (4 * scale)));
  for (let i = 0; i <= steps; i++) {
    const t = i / steps;
    const [lx, ly] = [fl[0] + (bl[0] - fl[0]) * t, fl[1] + (bl[1] - fl[1]) * t];
    const [rx, ry] = [fr[0] + (br[0] - fr[0]) * t, fr[1] + (br[1] - fr[1]) * t];
    if (!fits(lx, ly) || !fits(rx, ry) || !fits((lx + rx) / 2, (ly + ry) / 2)) return false;
  }
  return true;
}

function anywhere(
  { width, height, difficulty }: LayoutOptions,
  random: Random,
): { x: number; y: number; heading: number } {
  // Half of the objects keep clear of the border; the others may be cut off by it.
  const inset = difficulty === 'easy' ? 0.08 : random.chance(0.6) ? 0.07 : 0;
  return {
    x: width * random.range(inset, 1 - inset),
    y: height * random.range(inset, 1 - inset),
    heading: 0,
  };
}

/** A place at the flank of another object, parallel to it, touching or nearly so. */
function besideOf(other: Placed, width: number, random: Random): { x: number; y: number; heading: number } {
  const t = (other.heading * Math.PI) / 180;
  const side = random.chance(0.5) ? 1 : -1;
  const distance = (other.size * other.aspect + width) / 2 + random.range(0.7, 3);
  const slip = random.range(-0.15, 0.15) * other.size;
  return {
    x: other.x + Math.cos(t) * distance * side + Math.sin(t) * slip,
    y: other.y + Math.sin(t) * distance * side - Math.cos(t) * slip,
    heading: other.heading + (random.chance(0.3) ? 180 : 0),
  };
}

/** From object coordinates (x forward, y right, unit length) to the picture. */
function toPicture(x: number, y: number, cx: number, cy: number, size: number, heading: number): Point {
  const t = (heading * Math.PI) / 180;
  const [s, c] = [Math.sin(t), Math.cos(t)];
  return [cx + size * (x * s + y * c), cy + size * (-x * c + y * s)];
}

/** Corners of a rectangle of a length along a heading and a width across it. */
export function orientedRectangle(
  cx: number,
  cy: number,
  length: number,
  width: number,
  heading: number,
): Point[] {
  const w = width / length / 2;
  const corners: Point[] = [
    [0.5, -w],
    [0.5, w],
    [-0.5, w],
    [-0.5, -w],
  ];
  return corners.map(([x, y]) => toPicture(x, y, cx, cy, length, heading));
}

function bounds(points: readonly Point[]): [number, number, number, number] {
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function boxesNear(a: BoxXyxy, b: BoxXyxy, gap: number): boolean {
  return a[0] < b[2] + gap && b[0] < a[2] + gap && a[1] < b[3] + gap && b[1] < a[3] + gap;
}

/** Box, area and visible part of a silhouette; null when it runs into a taken pixel or out of the picture. */
function measure(
  mask: Mask,
  width: number,
  height: number,
  taken: Uint8Array,
): { box: [number, number, number, number]; area: number; visible: number } | null {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  let area = 0;
  let total = 0;
  for (let row = 0, m = 0; row < mask.height; row++) {
    const y = mask.y + row;
    for (let column = 0; column < mask.width; column++, m++) {
      if (mask.data[m]! < SOLID_COVERAGE) continue;
      total++;
      const x = mask.x + column;
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      if (taken[y * width + x]) return null;
      area++;
      if (x < x0) x0 = x;
      if (x >= x1) x1 = x + 1;
      if (y < y0) y0 = y;
      if (y >= y1) y1 = y + 1;
    }
  }
  return area > 0 ? { box: [x0, y0, x1, y1], area, visible: area / total } : null;
}

function claim(mask: Mask, { width, height }: LayoutOptions, taken: Uint8Array): void {
  for (let row = 0, m = 0; row < mask.height; row++) {
    const y = mask.y + row;
    for (let column = 0; column < mask.width; column++, m++) {
      const x = mask.x + column;
      if (mask.data[m]! >= SOLID_COVERAGE && x >= 0 && y >= 0 && x < width && y < height)
        taken[y * width + x] = 1;
    }
  }
}
