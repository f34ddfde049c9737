// SPDX-License-Identifier: Apache-2.0

import { vary } from '../palette.js';
import { contains } from '../raster.js';
import { brush } from '../texture.js';
import type { Landmark, Point } from '../types.js';
import { coastLandmark, drawCoast, drawPier } from './coast.js';
import { type BackgroundSpec, cover, paintLand, paintTrees, paintWater, type Region } from './ground.js';

/** A natural coast: surf, a beach, land behind it, usually a pier. */
export const shore: BackgroundSpec = {
  kinds: { ship: 7, car: 3, building: 2, tank: 1, helicopter: 1.5, truck: 1.5, plane: 1 },
  ambient: [],
  paint(canvas, random, unit) {
    paintWater(canvas, random, unit);
    const coast = drawCoast(canvas, random, 0.3, 0.48, 2.5 * unit);
    const shifted = (by: number): Point[] =>
      coast.land.map(([x, y]): Point => [x + coast.inland[0] * by, y + coast.inland[1] * by]);
    cover(canvas, brush([176, 190, 188], 0.1, unit, random), shifted(-3 * unit), 0.4);
    cover(canvas, brush(vary([190, 174, 140], 10, random), 0.1, unit, random), coast.land);
    const grass = shifted(random.range(7, 13) * unit);
    paintLand(canvas, random, unit, grass);
    paintTrees(canvas, random, unit, random.integer(14), (x, y) => contains(grass, x, y));
    const regions: Region[] = [{ surface: 'ground', points: coast.land }];
    const landmarks: Landmark[] = [coastLandmark(coast, 'shore', 6 * unit)];
    if (random.chance(0.75)) {
      const pier = drawPier(canvas, random, unit, coast, random.range(0.3, 0.45) * canvas.width);
      regions.push(pier.region);
      landmarks.push(pier.landmark);
    }
    return { base: 'water', regions, landmarks };
  },
};
