// SPDX-License-Identifier: Apache-2.0
import { vary } from '../palette.js';
import { rasterise, strip } from '../raster.js';
import { brush } from '../texture.js';
import type { Point, Rgb } from '../types.js';
import { along, type BackgroundSpec, cover, crossing, paintRoad, type Region } from './ground.js';

const ROOFS: readonly Rgb[] = [
  [138, 132, 126],
  [122, 118, 116],
  [146, 134, 122],
  [112, 110, 112],
];

/** A town centre: blocks of flat roofs about a street. The roofs are buildings, so no sentence speaks of those. */
export const roofs: BackgroundSpec = {
  kinds: { car: 5, truck: 4, helicopter: 3, plane: 2, tank: 2, container: 2 },
  ambient: ['building'],
  paint(canvas, random, unit) {
    const { width, height } = canvas;
    cover(canvas, brush(vary([104, 102, 100], 8, random), 0.1, unit, random));
    const upright = random.chance(0.5);
    const at = random.range(0.35, 0.65);
    const heading = (upright ? 0 : 90) + random.range(-8, 8);
    const axis = crossing(canvas, width * (upright ? at : 0.5), height * (upright ? 0.5 : at), heading);
    const street = random.range(26, 34) * unit;
    const t = (heading * Math.PI) / 180;
    const [fx, fy] = [Math.sin(t), -Math.cos(t)];
    const reach = width + height;
    const middle = along(axis, 0.5);
    for (const side of [-1, 1]) {
      let from = -reach / 2;
      while (from < reach / 2) {
        const length = random.range(40, 80) * unit;
        const depth = random.range(0.5, 0.62) * reach;
        const near = side * (street / 2 + 4 * unit);
        const centre: Point = [
          middle[0] + fx * (from + length / 2) - fy * (near + (side * depth) / 2),
          middle[1] + fy * (from + length / 2) + fx * (near + (side * depth) / 2),
        ];
        const a: Point = [centre[0] - (fx * length) / 2, centre[1] - (fy * length) / 2];
        const b: Point = [centre[0] + (fx * length) / 2, centre[1] + (fy * length) / 2];
        paintRoof(canvas, random, unit, strip(a, b, depth));
        from += length + random.range(1, 6) * unit;
      }
    }
    const polygon = paintRoad(canvas, random, unit, axis, street);
    const region: Region = { surface: 'road', points: polygon, heading: (heading + 360) % 360 };
    return { base: 'ground', regions: [region], landmarks: [{ kind: 'road', axis, width: street, polygon }] };
  },
};

function paintRoof(
  canvas: Parameters<BackgroundSpec['paint']>[0],
  random: Parameters<BackgroundSpec['paint']>[1],
  unit: number,
  outline: Point[],
): void {
  const mask = rasterise([outline], canvas.width, canvas.height);
  if (!mask) return;
  const shadow = Math.round(2 * unit);
  canvas.fill(mask, [30, 30, 32], 0.4, shadow, shadow);
  const tone = vary(random.pick(ROOFS), 10, random);
  cover(canvas, brush(tone, 0.08, 1.4 * unit, random), outline);
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    canvas.line(outline[j]!, outline[i]!, 1.2 * unit, [tone[0] * 0.75, tone[1] * 0.75, tone[2] * 0.75], 0.8);
  }
}
