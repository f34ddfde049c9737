// SPDX-License-Identifier: Apache-2.0
import { vary } from '../palette.js';
import { contains } from '../raster.js';
import { brush } from '../texture.js';
import type { Point } from '../types.js';
import { type BackgroundSpec, cover, crossing, paintLand, paintTrees, SOILS } from './ground.js';

/** Farm land: plots in muted tones, furrows, a hedge of trees. */
export const field: BackgroundSpec = {
  kinds: { car: 3, truck: 3, building: 3, tank: 3, helicopter: 2, plane: 2, container: 2 },
  ambient: [],
  paint(canvas, random, unit) {
    paintLand(canvas, random, unit);
    const { width, height } = canvas;
    const reach = width + height;
    const heading = random.range(0, 180);
    const t = (heading * Math.PI) / 180;
    const [dx, dy] = [Math.sin(t), -Math.cos(t)];
    const plots = 1 + random.integer(3);
    const outlines: Point[][] = [];
    for (let i = 0; i < plots; i++) {
      const [x, y] = [random.range(0, width), random.range(0, height)];
      const [from, to] = crossing(canvas, x, y, heading);
      const side = random.chance(0.5) ? reach : -reach;
      const plot: Point[] = [
        from,
        to,
        [to[0] - dy * side, to[1] + dx * side],
        [from[0] - dy * side, from[1] + dx * side],
      ];
      cover(
        canvas,
        brush(vary(random.pick(SOILS), 12, random), random.range(0.1, 0.22), unit, random),
        plot,
        0.9,
      );
      outlines.push(plot);
    }
    if (random.chance(0.6)) {
      const gap = random.range(4, 8) * unit;
      for (let at = -reach / 2; at < reach / 2; at += gap) {
        const [from, to] = crossing(canvas, width / 2 - dy * at, height / 2 + dx * at, heading);
        canvas.line(from, to, gap * 0.35, [64, 58, 40], 0.16);
      }
    }
    paintTrees(canvas, random, unit, random.integer(16), (x, y) => !contains(outlines[0]!, x, y));
    return { base: 'ground', regions: [], landmarks: [] };
  },
};
