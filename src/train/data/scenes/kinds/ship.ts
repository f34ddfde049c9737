// SPDX-License-Identifier: Apache-2.0
import { detail, GLASS, type KindSpec, METAL, mirrored, type Part, rectangle, solid } from './part.js';

/** A hull with a pointed bow; a freighter with hatches and a bridge at the stern, or a launch with a cabin. */
export const ship: KindSpec = {
  length: [19, 46],
  aspect: [0.27, 0.36],
  height: 0.12,
  surfaces: ['water'],
  flies: false,
  draw(aspect, random) {
    const h = aspect / 2;
    const parts: Part[] = [
      solid(
        mirrored([
          [0.5, 0],
          [0.42, 0.38 * h],
          [0.3, 0.8 * h],
          [0.16, h],
          [-0.42, h],
          [-0.5, 0.72 * h],
        ]),
        { shade: -0.18 },
      ),
      detail(
        mirrored([
          [0.44, 0],
          [0.27, 0.56 * h],
          [0.14, 0.74 * h],
          [-0.41, 0.74 * h],
          [-0.45, 0.5 * h],
        ]),
        { shade: 0.12 },
      ),
    ];
    if (random.chance(0.6)) {
      const hatches = 2 + random.integer(2);
      for (let i = 0; i < hatches; i++) {
        const x = -0.18 + (0.42 * i) / hatches;
        parts.push(detail(rectangle(x, -0.46 * h, x + 0.3 / hatches, 0.46 * h), { shade: -0.3 }));
      }
      parts.push(detail(rectangle(-0.4, -0.7 * h, -0.26, 0.7 * h), { rgb: METAL }));
      parts.push(detail(rectangle(-0.29, -0.6 * h, -0.26, 0.6 * h), { rgb: GLASS }));
    } else {
      parts.push(detail(rectangle(-0.22, -0.5 * h, 0.06, 0.5 * h), { shade: 0.45 }));
      parts.push(detail(rectangle(0.06, -0.5 * h, 0.12, 0.5 * h), { rgb: GLASS }));
      parts.push(detail(rectangle(-0.43, -0.45 * h, -0.28, 0.45 * h), { shade: -0.4 }));
    }
    return parts;
  },
};
