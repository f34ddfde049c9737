// SPDX-License-Identifier: Apache-2.0
import type { Point } from '../types.js';
import { detail, type KindSpec, type Part, rectangle, solid } from './part.js';

/** A roof: gabled or hipped about a ridge, one side in the light; sometimes with a wing or chimney. */
export const building: KindSpec = {
  length: [22, 42],
  aspect: [0.62, 0.9],
  height: 0.28,
  surfaces: ['ground'],
  flies: false,
  draw(aspect, random) {
    const h = aspect / 2;
    const hip = random.chance(0.5) ? Math.min(0.3, h * 0.8) : 0;
    const ridge = 0.5 - hip;
    const near: Point[] = [
      [-0.5, -h],
      [0.5, -h],
      [ridge, 0],
      [-ridge, 0],
    ];
    const far: Point[] = [
      [-0.5, h],
      [0.5, h],
      [ridge, 0],
      [-ridge, 0],
    ];
    const parts: Part[] = [
      solid(rectangle(-0.5, -h, 0.5, h), { shade: -0.1 }),
      detail(near, { shade: 0.16 }),
      detail(far, { shade: -0.3 }),
      detail(rectangle(-ridge, -0.022, ridge, 0.022), { shade: 0.5 }),
    ];
    if (random.chance(0.5)) {
      const x = random.range(-0.25, 0.2);
      parts.push(detail(rectangle(x, -0.6 * h, x + 0.09, -0.6 * h + 0.09), { rgb: [70, 64, 62] }));
    }
    return parts;
  },
};
