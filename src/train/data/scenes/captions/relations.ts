// SPDX-License-Identifier: Apache-2.0
import type { Landmark, Scene, SceneObject } from '../types.js';
import type { Direction } from './words.js';

/** Answer to a question about places or sizes: `null` means too close to call, so that no sentence is made of it. */
export type Verdict = boolean | null;

/** Margins that keep the truth of a sentence plain to see. */
const MARGINS = {
  /** Least lead in place, as a part of the picture's width. */
  place: 0.05,
  /** Least lead in area and in length of the largest or smallest. */
  area: 1.3,
  length: 1.15,
  /** Least ratio of lengths between large and small ones, and most within each. */
  sizes: 1.4,
  sizesWithin: 1.3,
  /** Least ratio of distances for the nearest. */
  distance: 1.35,
} as const;

function centreOf(object: SceneObject): [x: number, y: number] {
  const [x0, y0, x1, y1] = object.box;
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}

/** Signed distance of `object` from `anchor` in a direction, by the centres of their boxes, and across it. */
function lead(
  object: SceneObject,
  anchor: SceneObject,
  direction: Direction,
): [ahead: number, aside: number] {
  const [x, y] = centreOf(object);
  const [ax, ay] = centreOf(anchor);
  switch (direction) {
    case 'left':
      return [ax - x, Math.abs(ay - y)];
    case 'right':
      return [x - ax, Math.abs(ay - y)];
    case 'above':
      return [ay - y, Math.abs(ax - x)];
    case 'below':
      return [y - ay, Math.abs(ax - x)];
  }
}

/** Whether an object is left of (right of, above, below) another: more so than it is beside it, and by a margin. */
export function isBeyond(
  object: SceneObject,
  anchor: SceneObject,
  direction: Direction,
  scene: Scene,
): Verdict {
  const margin = MARGINS.place * scene.image.width;
  const [ahead, aside] = lead(object, anchor, direction);
  if (ahead > margin && ahead >= 0.7 * aside) return true;
  return ahead < -margin / 2 ? false : null;
}

/** Whether the landmark runs upright (so that it has a left and a right), level, or neither. */
export function lie(landmark: Landmark): 'upright' | 'level' | null {
  const [[x0, y0], [x1, y1]] = landmark.axis;
  const [dx, dy] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
  if (dy > 2.5 * dx) return 'upright';
  return dx > 2.5 * dy ? 'level' : null;
}

/** Whether an object is on the given side of a landmark's line, wholly and by a margin. */
export function isBeyondLandmark(
  object: SceneObject,
  landmark: Landmark,
  direction: Direction,
  scene: Scene,
): Verdict {
  const horizontal = direction === 'left' || direction === 'right';
  if (lie(landmark) !== (horizontal ? 'upright' : 'level')) return null;
  const [[ax, ay], [bx, by]] = landmark.axis;
  const [x, y] = centreOf(object);
  const [x0, y0, x1, y1] = object.box;
  const line = horizontal ? ax + ((bx - ax) * (y - ay)) / (by - ay) : ay + ((by - ay) * (x - ax)) / (bx - ax);
  const half = horizontal ? (x1 - x0) / 2 : (y1 - y0) / 2;
  const sign = direction === 'left' || direction === 'above' ? -1 : 1;
  const ahead = ((horizontal ? x : y) - line) * sign;
  const margin = half + 0.01 * scene.image.width;
  return ahead > margin ? true : ahead < -margin ? false : null;
}

/** Whether an object lies on a landmark that one can be on (runway, road). */
export function isOnLandmark(object: SceneObject, landmark: Landmark): Verdict {
  const [[ax, ay], [bx, by]] = landmark.axis;
  const [x, y] = centreOf(object);
  const length = Math.hypot(bx - ax, by - ay);
  const away = Math.abs((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length;
  const [x0, y0, x1, y1] = object.box;
  const reach = Math.hypot(x1 - x0, y1 - y0) / 2;
  if (away < 0.36 * landmark.width) return true;
  return away > landmark.width / 2 + 0.6 * reach ? false : null;
}

/** The one of `candidates` that leads all others in a direction, by centre and by the edge of the box; or null. */
export function extreme(candidates: readonly number[], direction: Direction, scene: Scene): number | null {
  const sorted = [...candidates].sort((a, b) => lead(scene.objects[b]!, scene.objects[a]!, direction)[0]);
  const [first, second] = [sorted[0], sorted[1]];
  if (first === undefined || second === undefined) return null;
  const [ahead] = lead(scene.objects[first]!, scene.objects[second]!, direction);
  if (ahead < MARGINS.place * scene.image.width) return null;
  const side = { left: 0, above: 1, right: 2, below: 3 }[direction] as 0 | 1 | 2 | 3;
  const sign = side < 2 ? 1 : -1;
  const edge = scene.objects[first]!.box[side] * sign;
  return sorted.slice(1).every((i) => edge < scene.objects[i]!.box[side] * sign) ? first : null;
}

/** The largest (or smallest) candidate, by area in the picture and by whole length, with a margin; or null. */
export function sizeExtreme(candidates: readonly number[], largest: boolean, scene: Scene): number | null {
  const order = largest ? 1 : -1;
  const sorted = [...candidates].sort((a, b) => order * (scene.objects[b]!.area - scene.objects[a]!.area));
  const first = scene.objects[sorted[0] ?? -1];
  if (!first || sorted.length < 2) return null;
  for (const i of sorted.slice(1)) {
    const other = scene.objects[i]!;
    const area = (first.area / other.area) ** order;
    const length = (first.size / other.size) ** order;
    if (area < MARGINS.area || (first.kind === other.kind && length < MARGINS.length)) return null;
  }
  return sorted[0]!;
}

/** Splits candidates of one kind into small and large ones where there is one clear gap in length; or null. */
export function sizeGroups(
  candidates: readonly number[],
  scene: Scene,
): { small: number[]; large: number[] } | null {
  const sorted = [...candidates].sort((a, b) => scene.objects[a]!.size - scene.objects[b]!.size);
  const size = (at: number): number => scene.objects[sorted[at]!]!.size;
  for (let cut = 1; cut < sorted.length; cut++) {
    if (size(cut) / size(cut - 1) < MARGINS.sizes) continue;
    if (size(cut - 1) / size(0) > MARGINS.sizesWithin) continue;
    if (size(sorted.length - 1) / size(cut) > MARGINS.sizesWithin) continue;
    // Cut-off objects may look smaller than they are.
    if (sorted.some((i) => scene.objects[i]!.visible < 0.8)) return null;
    return { small: sorted.slice(0, cut), large: sorted.slice(cut) };
  }
  return null;
}

/** The candidate whose centre is nearest to the anchor's, clearly nearer than any other; or null. */
export function nearest(candidates: readonly number[], anchor: number, scene: Scene): number | null {
  const [ax, ay] = centreOf(scene.objects[anchor]!);
  const distance = (i: number): number => {
    const [x, y] = centreOf(scene.objects[i]!);
    return Math.hypot(x - ax, y - ay);
  };
  const sorted = candidates.filter((i) => i !== anchor).sort((a, b) => distance(a) - distance(b));
  if (sorted.length < 2) return null;
  return distance(sorted[1]!) > MARGINS.distance * distance(sorted[0]!) ? sorted[0]! : null;
}
