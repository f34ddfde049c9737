// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../random.js';
import { randomTurn, type Turn, turnBox, turnImage } from '../turn.js';
import { jitterPhotometry } from './effects.js';
import type { Point, Scene } from './types.js';

/** A scene turned, mirrored and re-lit at random. Sentences made of it afterwards hold for the new places. */
export function augment(scene: Scene, random: Random): Scene {
  const turned = turnScene(scene, randomTurn(random));
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
    image: turnImage(scene.image, turn),
    objects: scene.objects.map((object) => ({
      ...object,
      box: turnBox(object.box, scene.image, turn),
      polygon: object.polygon.map(point),
      heading: turnHeading(object.heading, turn),
    })),
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
