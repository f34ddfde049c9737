// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../random.js';
import type { BoxXyxy, RgbImage } from './types.js';

/** One of the eight ways to turn or mirror a picture: transpose first, then mirror left-right, then top-bottom. */
export interface Turn {
  transpose: boolean;
  mirrorX: boolean;
  mirrorY: boolean;
}

/** Any of the eight, equally likely. Only for pictures whose captions name no directions. */
export function randomTurn(random: Random): Turn {
  return { transpose: random.chance(0.5), mirrorX: random.chance(0.5), mirrorY: random.chance(0.5) };
}

/** The picture turned. */
export function turnImage({ width, height, data }: RgbImage, turn: Turn): RgbImage {
  const [newWidth, newHeight] = turn.transpose ? [height, width] : [width, height];
  const out = new Uint8Array(data.length);
  // Steps through the source for one pixel to the right and one row down in the result.
  const [stepX, stepY] = turn.transpose ? [width, 1] : [1, width];
  const start = (turn.mirrorX ? (newWidth - 1) * stepX : 0) + (turn.mirrorY ? (newHeight - 1) * stepY : 0);
  const dx = turn.mirrorX ? -stepX : stepX;
  const dy = turn.mirrorY ? -stepY : stepY;
  let to = 0;
  for (let y = 0; y < newHeight; y++) {
    let from = (start + y * dy) * 3;
    for (let x = 0; x < newWidth; x++, from += dx * 3) {
      out[to++] = data[from]!;
      out[to++] = data[from + 1]!;
      out[to++] = data[from + 2]!;
    }
  }
  return { width: newWidth, height: newHeight, data: out };
}

/** A box `[x0, y0, x1, y1]` of a picture of the given size, turned with it. */
export function turnBox(
  box: BoxXyxy,
  { width, height }: { width: number; height: number },
  turn: Turn,
): [number, number, number, number] {
  let [x0, y0, x1, y1] = box;
  if (turn.transpose) [x0, y0, x1, y1] = [y0, x0, y1, x1];
  const [newWidth, newHeight] = turn.transpose ? [height, width] : [width, height];
  if (turn.mirrorX) [x0, x1] = [newWidth - x1, newWidth - x0];
  if (turn.mirrorY) [y0, y1] = [newHeight - y1, newHeight - y0];
  return [x0, y0, x1, y1];
}
