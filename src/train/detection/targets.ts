// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { PaddedTargets } from '../../models/types.js';
import type { Sample } from '../data/types.js';
import { classTargets } from '../losses/index.js';
import { paddedCount } from '../padding.js';

/** Least places for targets. */
const LEAST = 8;

/**
 * The objects of a batch, padded; boxes relative to their picture's real size. Crowds teach no size and no place.
 * @param labels names of the classes by number
 * @throws UserError for an object of another class
 */
export function detectionTargets(samples: readonly Sample[], labels: readonly string[]): PaddedTargets {
  const numbers = new Map(labels.map((label, i) => [label, i]));
  const boxes: number[][][] = [];
  const classes: number[][] = [];
  for (const { id, image, objects } of samples) {
    const own = objects.filter(({ crowd }) => crowd !== true);
    boxes.push(own.map(({ box }) => centred(box, image)));
    classes.push(
      own.map(({ category }) => {
        const number = numbers.get(category);
        if (number !== undefined) return number;
        throw new UserError(
          `${id}: has an object of class "${category}", which the model does not know; ` +
            'set modelOverrides: { labels: [...] } to the classes of the data',
          EXIT_CODES.data,
        );
      }),
    );
  }
  const most = Math.max(1, ...boxes.map((rows) => rows.length));
  return classTargets(boxes, classes, labels.length, paddedCount(most, LEAST));
}

function centred(
  [x0, y0, x1, y1]: readonly [number, number, number, number],
  { width, height }: { width: number; height: number },
): number[] {
  return [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height];
}
