// SPDX-License-Identifier: Apache-2.0
import type { Landmark } from '../types.js';
import {
  type BackgroundSpec,
  crossing,
  paintLand,
  paintRoad,
  paintTrees,
  type Region,
  regionAt,
} from './ground.js';

/** One road, sometimes two that cross, through open land. A single road is a landmark. */
export const roads: BackgroundSpec = {
  kinds: { car: 6, truck: 5, building: 2.5, container: 1, tank: 1, helicopter: 1 },
  ambient: [],
  paint(canvas, random, unit) {
    paintLand(canvas, random, unit);
    const { width, height } = canvas;
    const upright = random.chance(0.5);
    const count = random.chance(0.7) ? 1 : 2;
    const regions: Region[] = [];
    const landmarks: Landmark[] = [];
    for (let i = 0; i < count; i++) {
      const heading = (upright === (i === 0) ? 0 : 90) + random.range(-16, 16);
      const axis = crossing(canvas, width * random.range(0.3, 0.7), height * random.range(0.3, 0.7), heading);
      const breadth = random.range(22, 32) * unit;
      const polygon = paintRoad(canvas, random, unit, axis, breadth);
      regions.push({ surface: 'road', points: polygon, heading: (heading + 360) % 360 });
      if (count === 1) landmarks.push({ kind: 'road', axis, width: breadth, polygon });
    }
    const ground = { base: 'ground' as const, regions, landmarks };
    paintTrees(canvas, random, unit, random.integer(18), (x, y) => regionAt(ground, x, y) === null);
    return ground;
  },
};
