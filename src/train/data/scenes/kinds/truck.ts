// SPDX-License-Identifier: Apache-2.0
import { chamfered, detail, GLASS, type KindSpec, type Part, rectangle, solid } from './part.js';

/** A cab with a wind-screen, a dark gap, and a long box or flat bed. */
export const truck: KindSpec = {
  length: [19, 32],
  aspect: [0.3, 0.36],
  height: 0.25,
  surfaces: ['ground', 'road'],
  flies: false,
  draw(aspect, random) {
    const h = aspect / 2;
    const parts: Part[] = [
      solid(rectangle(-0.46, -0.5 * h, 0.4, 0.5 * h), { rgb: [44, 44, 46] }),
      solid(chamfered(0.24, -0.9 * h, 0.5, 0.9 * h, 0.035), { shade: -0.12 }),
      detail(rectangle(0.37, -0.78 * h, 0.45, 0.78 * h), { rgb: GLASS }),
      solid(rectangle(-0.5, -h, 0.18, h), { shade: 0.06 }),
    ];
    if (random.chance(0.6)) {
      parts.push(detail(rectangle(-0.48, -0.12 * h, 0.16, 0.12 * h), { shade: 0.3 }));
    } else {
      parts.push(detail(rectangle(-0.46, -0.72 * h, 0.14, 0.72 * h), { shade: -0.3 }));
    }
    return parts;
  },
};
