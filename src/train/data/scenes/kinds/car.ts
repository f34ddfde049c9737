// SPDX-License-Identifier: Apache-2.0
import { chamfered, detail, GLASS, type KindSpec, rectangle, solid } from './part.js';

/** A rounded body with wind-screen and rear window. */
export const car: KindSpec = {
  length: [11, 18],
  aspect: [0.46, 0.54],
  height: 0.3,
  surfaces: ['ground', 'road'],
  flies: false,
  draw(aspect) {
    const h = aspect / 2;
    return [
      solid(chamfered(-0.5, -h, 0.5, h, 0.1), { shade: -0.06 }),
      detail(chamfered(-0.3, -0.72 * h, 0.12, 0.72 * h, 0.05), { shade: 0.14 }),
      detail(
        [
          [0.1, -0.74 * h],
          [0.25, -0.82 * h],
          [0.25, 0.82 * h],
          [0.1, 0.74 * h],
        ],
        { rgb: GLASS },
      ),
      detail(
        [
          [-0.27, -0.7 * h],
          [-0.38, -0.78 * h],
          [-0.38, 0.78 * h],
          [-0.27, 0.7 * h],
        ],
        { rgb: GLASS },
      ),
      detail(rectangle(0.45, -0.8 * h, 0.5, -0.45 * h), { rgb: [235, 232, 210] }),
      detail(rectangle(0.45, 0.45 * h, 0.5, 0.8 * h), { rgb: [235, 232, 210] }),
    ];
  },
};
