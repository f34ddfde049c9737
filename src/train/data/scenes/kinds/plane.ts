// SPDX-License-Identifier: Apache-2.0
import type { Point } from '../types.js';
import { detail, flipped, GLASS, type KindSpec, mirrored, type Part, solid } from './part.js';

/** Fuselage, wings (swept back or straight), tailplane and fin. `aspect` is the span over the length. */
export const plane: KindSpec = {
  length: [22, 42],
  aspect: [0.86, 1.0],
  height: 0.14,
  surfaces: ['runway', 'ground'],
  flies: true,
  draw(aspect, random) {
    const span = aspect / 2;
    const swept = random.chance(0.7);
    const wing: Point[] = swept
      ? [
          [0.16, 0.03],
          [-0.12, span],
          [-0.2, span],
          [-0.1, 0.03],
        ]
      : [
          [0.14, 0.03],
          [0.1, span],
          [-0.03, span],
          [-0.07, 0.03],
        ];
    const tail: Point[] = [
      [-0.34, 0.02],
      [-0.44, 0.2],
      [-0.5, 0.2],
      [-0.47, 0.02],
    ];
    const parts: Part[] = [];
    for (const shape of [wing, tail]) {
      parts.push(solid(shape, { shade: -0.08 }), solid(flipped(shape), { shade: -0.2 }));
    }
    if (swept) {
      const at = span * 0.42;
      const engine: Point[] = [
        [0.1, at - 0.03],
        [0.1, at + 0.03],
        [-0.02, at + 0.03],
        [-0.02, at - 0.03],
      ];
      parts.push(detail(engine, { shade: -0.45 }), detail(flipped(engine), { shade: -0.45 }));
    }
    parts.push(
      solid(
        mirrored([
          [0.5, 0],
          [0.46, 0.045],
          [0.36, 0.066],
          [-0.2, 0.062],
          [-0.5, 0.015],
        ]),
        { shade: 0.14 },
      ),
      detail(
        mirrored([
          [0.45, 0],
          [0.42, 0.04],
          [0.38, 0.045],
        ]),
        { rgb: GLASS },
      ),
      detail(
        mirrored([
          [-0.34, 0.012],
          [-0.5, 0.012],
        ]),
        { shade: -0.4 },
      ),
    );
    return parts;
  },
};
