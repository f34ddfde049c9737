// SPDX-License-Identifier: Apache-2.0
import type { Point } from '../types.js';
import { detail, ellipse, GLASS, type KindSpec, mirrored, type Part, rectangle, solid } from './part.js';

/** A drop-shaped cabin, a thin boom with a tail rotor, and blades over a faint disc, which counts as silhouette. */
export const helicopter: KindSpec = {
  length: [19, 32],
  aspect: [0.72, 0.78],
  height: 0.2,
  surfaces: ['ground', 'runway', 'pier'],
  flies: true,
  draw(aspect, random) {
    const radius = aspect / 2;
    const hub: Point = [0.5 - radius, 0];
    const parts: Part[] = [
      { points: ellipse(hub, radius, radius, 24), paint: { rgb: [206, 210, 214] }, alpha: 0.42, solid: true },
      solid(rectangle(-0.46, -0.035, 0.0, 0.035), { shade: -0.15 }),
      solid(rectangle(-0.5, -0.12, -0.42, 0.12), { shade: -0.1 }),
      solid(
        mirrored([
          [0.38, 0],
          [0.35, 0.1],
          [0.25, 0.165],
          [0.05, 0.165],
          [-0.1, 0.09],
          [-0.16, 0.03],
        ]),
        { shade: 0.04 },
      ),
      detail(
        mirrored([
          [0.36, 0],
          [0.33, 0.09],
          [0.26, 0.11],
          [0.24, 0],
        ]),
        { rgb: GLASS },
      ),
    ];
    const blades = random.chance(0.5) ? 2 : 1;
    const start = random.range(0.3, 0.9);
    for (let i = 0; i < blades; i++) {
      const t = start + (Math.PI * i) / 2;
      const [c, s] = [Math.cos(t) * radius, Math.sin(t) * radius];
      const [nx, ny] = [-Math.sin(t) * 0.022, Math.cos(t) * 0.022];
      parts.push(
        detail(
          [
            [hub[0] + c + nx, s + ny],
            [hub[0] + c - nx, s - ny],
            [hub[0] - c - nx, -s - ny],
            [hub[0] - c + nx, -s + ny],
          ],
          { rgb: [52, 54, 58] },
        ),
      );
    }
    return parts;
  },
};
