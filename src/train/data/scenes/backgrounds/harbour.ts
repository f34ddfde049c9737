// SPDX-License-Identifier: Apache-2.0
import { vary } from '../palette.js';
import { brush } from '../texture.js';
import { coastLandmark, drawCoast, drawPier } from './coast.js';
import { along, type BackgroundSpec, cover, dashes, PAVEMENTS, paintWater } from './ground.js';

/** A straight quay with a paved yard and one pier. */
export const harbour: BackgroundSpec = {
  kinds: { ship: 7, container: 4, tank: 3, truck: 2, car: 1, building: 1, helicopter: 0.7 },
  ambient: [],
  paint(canvas, random, unit) {
    paintWater(canvas, random, unit);
    const coast = drawCoast(canvas, random, 0.36, 0.48, 0);
    cover(
      canvas,
      brush(vary(random.pick(PAVEMENTS), 8, random), 0.12, random.range(0.7, 1.5) * unit, random),
      coast.land,
    );
    const [a, b] = coast.axis;
    canvas.line(a, b, 2.6 * unit, [74, 72, 70], 0.8);
    const inset = random.range(9, 14) * unit;
    const lane: typeof coast.axis = [
      [a[0] + coast.inland[0] * inset, a[1] + coast.inland[1] * inset],
      [b[0] + coast.inland[0] * inset, b[1] + coast.inland[1] * inset],
    ];
    dashes(canvas, lane, 8 * unit, 0.55, 0.8 * unit, [200, 190, 140], 0.5);
    for (let i = 0; i < 40; i++) {
      const [x, y] = along(coast.axis, (i + 0.5) / 40);
      canvas.disc([x, y], 0.9 * unit, [40, 38, 36], 0.8);
    }
    const pier = drawPier(canvas, random, unit, coast, random.range(0.34, 0.46) * canvas.width);
    return {
      base: 'water',
      regions: [{ surface: 'ground', points: coast.land }, pier.region],
      landmarks: [coastLandmark(coast, 'quay', 4 * unit), pier.landmark],
    };
  },
};
