// SPDX-License-Identifier: Apache-2.0
import { detail, ellipse, type KindSpec, type Part, rectangle, solid } from './part.js';

/** A round storage tank: rim, floating or domed roof with a highlight, a stair. */
export const tank: KindSpec = {
  length: [14, 32],
  aspect: [1, 1],
  height: 0.3,
  surfaces: ['ground'],
  flies: false,
  draw(_aspect, random) {
    const parts: Part[] = [
      solid(ellipse([0, 0], 0.5, 0.5, 32), { shade: -0.32 }),
      detail(ellipse([0, 0], 0.43, 0.43, 28), { shade: 0.02 }),
    ];
    if (random.chance(0.6)) {
      parts.push(detail(ellipse([0.1, -0.1], 0.27, 0.27, 20), { shade: 0.2 }));
      parts.push(detail(ellipse([0.14, -0.14], 0.12, 0.12, 14), { shade: 0.45 }));
    } else {
      parts.push(detail(ellipse([0, 0], 0.3, 0.3, 24), { shade: -0.2 }));
      parts.push(detail(ellipse([0, 0], 0.24, 0.24, 20), { shade: 0.14 }));
    }
    parts.push(detail(rectangle(-0.5, -0.035, -0.2, 0.035), { shade: -0.5 }));
    parts.push(detail(ellipse([0, 0], 0.05, 0.05, 10), { shade: -0.5 }));
    return parts;
  },
};
