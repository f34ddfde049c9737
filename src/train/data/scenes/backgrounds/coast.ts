// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../../random.js';
import { vary } from '../palette.js';
import { type Canvas, strip } from '../raster.js';
import { brush } from '../texture.js';
import type { Landmark, Point } from '../types.js';
import { along, cover, crossing, type Region } from './ground.js';

/** A line that parts land from water. `inland` is the unit vector from the water to the land. */
export interface Coast {
  axis: [Point, Point];
  inland: Point;
  land: Point[];
}

/**
 * A coast along one side of the picture, picked at random: the land takes `low` to `high` of it.
 * `waviness` is in pixels.
 */
export function drawCoast(
  canvas: Canvas,
  random: Random,
  low: number,
  high: number,
  waviness: number,
): Coast {
  const { width, height } = canvas;
  const side = random.integer(4);
  const inland: Point = (
    [
      [0, -1],
      [1, 0],
      [0, 1],
      [-1, 0],
    ] as const
  )[side]!;
  const depth = random.range(low, high);
  const centre: Point = [
    inland[0] === 0 ? width / 2 : inland[0] > 0 ? width * (1 - depth) : width * depth,
    inland[1] === 0 ? height / 2 : inland[1] > 0 ? height * (1 - depth) : height * depth,
  ];
  const tilt = random.range(-12, 12);
  const axis = crossing(canvas, centre[0], centre[1], (inland[0] === 0 ? 90 : 0) + tilt);
  const steps = 96;
  const [phase, second] = [random.range(0, 6.28), random.range(0, 6.28)];
  const line: Point[] = [];
  for (let i = 0; i <= steps; i++) {
    const [x, y] = along(axis, i / steps);
    const swing = waviness * (Math.sin(i * 0.9 + phase) + 0.6 * Math.sin(i * 2.3 + second));
    line.push([x + inland[0] * swing, y + inland[1] * swing]);
  }
  const far = 2 * (width + height);
  const [first, last] = [line[0]!, line[line.length - 1]!];
  const land: Point[] = [
    ...line,
    [last[0] + inland[0] * far, last[1] + inland[1] * far],
    [first[0] + inland[0] * far, first[1] + inland[1] * far],
  ];
  return { axis, inland, land };
}

/** The coast as a landmark. */
export function coastLandmark(coast: Coast, kind: 'shore' | 'quay', width: number): Landmark {
  return { kind, axis: coast.axis, width, polygon: strip(coast.axis[0], coast.axis[1], width) };
}

/** A pier from the coast into the water at about `t` of the visible line: planks or concrete, and a shadow. */
export function drawPier(
  canvas: Canvas,
  random: Random,
  unit: number,
  coast: Coast,
  reach: number,
): { landmark: Landmark; region: Region } {
  const { width, height } = canvas;
  const t = random.range(0.28, 0.72);
  // Where the coast's line crosses the picture at fraction t of the side it runs along.
  const [a, b] = coast.axis;
  const root: Point =
    coast.inland[0] === 0
      ? [t * width, a[1] + ((b[1] - a[1]) * (t * width - a[0])) / (b[0] - a[0])]
      : [a[0] + ((b[0] - a[0]) * (t * height - a[1])) / (b[1] - a[1]), t * height];
  const thickness = random.range(6, 11) * unit;
  const start: Point = [root[0] + coast.inland[0] * 8 * unit, root[1] + coast.inland[1] * 8 * unit];
  const end: Point = [root[0] - coast.inland[0] * reach, root[1] - coast.inland[1] * reach];
  const outline = strip(start, end, thickness);
  const offset = 1.6 * unit;
  canvas.polygon(
    outline.map(([x, y]): Point => [x + offset, y + offset]),
    [16, 22, 26],
    0.45,
  );
  const timber = vary(random.chance(0.5) ? [150, 134, 112] : [158, 156, 150], 10, random);
  cover(canvas, brush(timber, 0.12, 0.6 * unit, random), outline);
  const planks = Math.floor(reach / (3 * unit));
  const across: Point = [-coast.inland[1] * thickness * 0.5, coast.inland[0] * thickness * 0.5];
  for (let i = 0; i < planks; i++) {
    const [x, y] = along([start, end], (i + 0.5) / planks);
    canvas.line(
      [x - across[0], y - across[1]],
      [x + across[0], y + across[1]],
      0.6 * unit,
      [70, 64, 58],
      0.5,
    );
  }
  const heading = (Math.atan2(end[0] - start[0], start[1] - end[1]) * 180) / Math.PI;
  return {
    landmark: { kind: 'pier', axis: [start, end], width: thickness, polygon: outline },
    region: { surface: 'pier', points: outline, heading: (heading + 360) % 360 },
  };
}
