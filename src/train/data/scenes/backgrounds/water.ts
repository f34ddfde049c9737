// SPDX-License-Identifier: Apache-2.0
import { type BackgroundSpec, paintWater } from './ground.js';

/** Open water with foam streaks. */
export const water: BackgroundSpec = {
  kinds: { ship: 8, helicopter: 2, plane: 3 },
  ambient: [],
  paint(canvas, random, unit) {
    paintWater(canvas, random, unit);
    const streaks = random.integer(8);
    for (let i = 0; i < streaks; i++) {
      const x = random.range(0, canvas.width);
      const y = random.range(0, canvas.height);
      const length = random.range(4, 16) * unit;
      canvas.line(
        [x, y],
        [x + length, y + random.range(-0.1, 0.1) * length],
        0.7 * unit,
        [190, 204, 206],
        0.4,
      );
    }
    return { base: 'water', regions: [], landmarks: [] };
  },
};
