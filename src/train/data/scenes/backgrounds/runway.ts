// SPDX-License-Identifier: Apache-2.0
import { vary } from '../palette.js';
import { strip } from '../raster.js';
import { brush } from '../texture.js';
import type { Point } from '../types.js';
import { along, type BackgroundSpec, cover, crossing, dashes, paintLand, type Region } from './ground.js';

/** An airfield: grass, an apron, and a runway with edge lines, centre line and threshold bars. */
export const runway: BackgroundSpec = {
  kinds: { plane: 7, helicopter: 3, truck: 2, car: 2, tank: 1, building: 1 },
  ambient: [],
  paint(canvas, random, unit) {
    paintLand(canvas, random, unit);
    const { width, height } = canvas;
    const upright = random.chance(0.5);
    const heading =
      (upright ? 0 : 90) + (random.chance(0.75) ? random.range(-12, 12) : random.range(-45, 45));
    const offset = random.range(-0.25, 0.25);
    const centre: Point = [width * (0.5 + (upright ? offset : 0)), height * (0.5 + (upright ? 0 : offset))];
    const axis = crossing(canvas, centre[0], centre[1], heading);
    const breadth = random.range(30, 42) * unit;
    const regions: Region[] = [];
    if (random.chance(0.7)) {
      const side = offset > 0 ? -1 : 1;
      const t = (heading * Math.PI) / 180;
      const away: Point = [Math.cos(t) * side * (upright ? 1 : -1), Math.sin(t) * side * (upright ? 1 : -1)];
      const shift = breadth * random.range(1.2, 1.5);
      const middle: Point = [centre[0] + away[0] * shift, centre[1] + away[1] * shift];
      const apron = strip(
        along([centre, middle], 0.4),
        along([centre, middle], 1.7),
        width * random.range(0.4, 0.8),
      );
      cover(canvas, brush(vary([146, 144, 138], 8, random), 0.08, 1.2 * unit, random), apron);
      regions.push({ surface: 'runway', points: apron });
    }
    const outline = strip(axis[0], axis[1], breadth);
    cover(canvas, brush(vary([88, 88, 91], 10, random), 0.1, 0.8 * unit, random), outline);
    const t = (heading * Math.PI) / 180;
    const [nx, ny] = [Math.cos(t), Math.sin(t)];
    const shifted = (by: number): [Point, Point] => [
      [axis[0][0] + nx * by, axis[0][1] + ny * by],
      [axis[1][0] + nx * by, axis[1][1] + ny * by],
    ];
    for (const side of [-0.44, 0.44]) {
      const [from, to] = shifted(side * breadth);
      canvas.line(from, to, 0.8 * unit, [214, 214, 208], 0.7);
    }
    dashes(canvas, axis, 16 * unit, 0.55, 1.1 * unit, [220, 220, 214], 0.8);
    regions.push({ surface: 'runway', points: outline, heading: (heading + 360) % 360 });
    return {
      base: 'ground',
      regions,
      landmarks: [{ kind: 'runway', axis, width: breadth, polygon: outline }],
    };
  },
};
