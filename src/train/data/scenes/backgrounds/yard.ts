// SPDX-License-Identifier: Apache-2.0
import { vary } from '../palette.js';
import { strip } from '../raster.js';
import { brush } from '../texture.js';
import type { Point } from '../types.js';
import { type BackgroundSpec, cover, PAVEMENTS, paintLand } from './ground.js';

/** A paved depot: slabs, parking bays, strips of grass. */
export const yard: BackgroundSpec = {
  kinds: { car: 4, truck: 4, container: 4, tank: 3, building: 2, helicopter: 1.5, plane: 1 },
  ambient: [],
  paint(canvas, random, unit) {
    const { width, height } = canvas;
    const paving = vary(random.pick(PAVEMENTS), 10, random);
    cover(canvas, brush(paving, random.range(0.08, 0.18), random.range(0.8, 1.8) * unit, random));
    const seam = random.range(20, 34) * unit;
    for (let at = random.range(0, seam); at < Math.max(width, height); at += seam) {
      canvas.line([at, 0], [at, height], 0.6 * unit, [70, 70, 70], 0.3);
      canvas.line([0, at], [width, at], 0.6 * unit, [70, 70, 70], 0.3);
    }
    if (random.chance(0.5)) {
      const y = height * random.range(0.02, 0.98);
      paintLand(canvas, random, unit, strip([-9, y], [width + 9, y], random.range(8, 20) * unit));
    }
    const rows = random.integer(3);
    for (let i = 0; i < rows; i++) {
      const x = random.range(0, width * 0.7);
      const y = random.range(0, height);
      const bays = 4 + random.integer(5);
      for (let bay = 0; bay <= bays; bay++) {
        const from: Point = [x + bay * 9 * unit, y];
        canvas.line(from, [from[0], y + 17 * unit], 0.7 * unit, [214, 212, 204], 0.6);
      }
    }
    return { base: 'ground', regions: [], landmarks: [] };
  },
};
