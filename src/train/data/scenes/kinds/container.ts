// SPDX-License-Identifier: Apache-2.0
import { detail, type KindSpec, type Part, rectangle, solid } from './part.js';

/** A plain box with ribs across it and dark corner fittings. */
export const container: KindSpec = {
  length: [16, 28],
  aspect: [0.36, 0.42],
  height: 0.2,
  surfaces: ['ground', 'pier'],
  flies: false,
  draw(aspect) {
    const h = aspect / 2;
    const parts: Part[] = [solid(rectangle(-0.5, -h, 0.5, h), { shade: 0.08 })];
    const ribs = 6;
    for (let i = 0; i < ribs; i++) {
      const x = -0.46 + (0.92 * (i + 0.3)) / ribs;
      parts.push(detail(rectangle(x, -0.9 * h, x + 0.06, 0.9 * h), { shade: -0.36 }));
    }
    for (const x of [-0.5, 0.44]) {
      for (const y of [-h, 0.7 * h]) {
        parts.push(detail(rectangle(x, y, x + 0.06, y + 0.3 * h), { rgb: [40, 40, 42] }));
      }
    }
    return parts;
  },
};
