// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../random.js';
import { jitterPhotometry } from './effects.js';
import type { Point, Scene } from './types.js';

/** One of the eight ways to turn or mirror a picture: transpose first, then mirror left-right, then top-bottom. */
export interface Turn {
  transpose: boolean;
  mirrorX: boolean;
  mirrorY: boolean;
}

/** A scene turned, mirrored and re-lit at random. Sentences made of it afterwards hold for the new places. */
export function augment(scene: Scene, random: Random): Scene {
  const turn = { transpose: random.chance(0.5), mirrorX: random.chance(0.5), mirrorY: random.chance(0.5) };
  const turned = turnScene(scene, turn);
  return random.chance(0.7) ? { ...turned, image: jitterPhotometry(turned.image, random) } : turned;
}

/** Applies a turn to the picture, every object and every landmark. */
export function turnScene(scene: Scene, turn: Turn): Scene {
  const { width, height } = scene.image;
  const [w, h] = turn.transpose ? [height, width] : [width, height];
  const point = ([x, y]: Point): Point => {
    const [u, v] = turn.transpose ? [y, x] : [x, y];
    return [turn.mirrorX ? w - u : u, turn.mirrorY ? h - v : v];
  };
  return {
    ...scene,
    image: { width: w, height: h, data: turnPixels(scene.image.data, width, height, turn) },
    objects: scene.objects.map((object) => {
      const [ax, ay] = point([object.box[0], object.box[1]]);
      const [bx, by] = point([object.box[2], object.box[3]]);
      return {
        ...object,
        box: [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)],
        polygon: object.polygon.map(point),
        heading: turnHeading(object.heading, turn),
      };
    }),
    landmarks: scene.landmarks.map((mark) => ({
      ...mark,
      polygon: mark.polygon.map(point),
      axis: [point(mark.axis[0]), point(mark.axis[1])],
    })),
  };
}

function turnHeading(heading: number, turn: Turn): number {
  let result = turn.transpose ? 270 - heading : heading;
  if (turn.mirrorX) result = -result;
  if (turn.mirrorY) result = 180 - result;
  return ((result % 360) + 360) % 360;
}

function turnPixels(data: Uint8Array, width: number, height: number, turn: Turn): Uint8Array {
  const out = new Uint8Array(data.length);
  const [w, h] = turn.transpose ? [height, width] : [width, height];
  let o = 0;
  for (let y = 0; y < h; y++) {
    const v = turn.mirrorY ? h - 1 - y : y;
    for (let x = 0; x < w; x++, o += 3) {
      const u = turn.mirrorX ? w - 1 - x : x;
      const i = (turn.transpose ? u * width + v : v * width + u) * 3;
      out[o] = data[i]!;
      out[o + 1] = data[i + 1]!;
      out[o + 2] = data[i + 2]!;
    }
  }
  return out;
}
