// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { BoxXyxy } from './types.js';

/** A box as an annotation file states it, before it is trusted. */
export interface RawObject {
  /** `[x0, y0, x1, y1]` in pixels, or anything a broken file may hold. */
  box: BoxXyxy;
  category: string;
  /** Record and, where known, line: `object 3 (line 41)`, `annotations[7] (id 12)`. */
  where: string;
}

/** What is wrong with a data set, one line each, naming file and record. */
export interface DataProblems {
  /** Records that cannot be used and were left out. */
  errors: string[];
  /** Records that were mended (clipped to the picture). */
  warnings: string[];
}

/** Boxes may pass the picture's edge by this much without a word: formats that count from 1 do. */
const EDGE_TOLERANCE = 1.5;

/**
 * Checks the boxes of one picture: numbers, positive area, inside the picture. Boxes that stick out are clipped with a
 * warning, those that lie outside or have no area are left out with an error; `problems` collects both.
 *
 * @param file annotation file, named in every message
 * @param size the picture's
 * @returns the usable objects, clipped, in order
 */
export function validateObjects<T extends RawObject>(
  file: string,
  objects: readonly T[],
  size: { width: number; height: number },
  problems: DataProblems,
): (T & { box: [number, number, number, number] })[] {
  const usable: (T & { box: [number, number, number, number] })[] = [];
  for (const object of objects) {
    const fault = faultOf(object.box, size);
    const shown = object.box
      .map((v) => (Number.isFinite(v) ? String(Math.round(v * 100) / 100) : 'NaN'))
      .join(', ');
    const subject = `${file}, ${object.where}: the box [${shown}] of '${object.category}'`;
    if (fault !== null) {
      problems.errors.push(`${subject} ${fault}; correct or remove that record`);
      continue;
    }
    const [x0, y0, x1, y1] = object.box;
    const overhang = Math.max(-x0, -y0, x1 - size.width, y1 - size.height);
    if (overhang > EDGE_TOLERANCE) {
      problems.warnings.push(
        `${subject} reaches ${Math.ceil(overhang)} pixels outside its picture (${size.width}x${size.height}) ` +
          'and was clipped; check that picture and annotation belong together',
      );
    }
    const box: [number, number, number, number] = [
      Math.max(0, x0),
      Math.max(0, y0),
      Math.min(size.width, x1),
      Math.min(size.height, y1),
    ];
    usable.push({ ...object, box });
  }
  return usable;
}

function faultOf(
  [x0, y0, x1, y1]: BoxXyxy,
  { width, height }: { width: number; height: number },
): string | null {
  if (![x0, y0, x1, y1].every(Number.isFinite)) return 'is not four numbers';
  if (x1 === x0 || y1 === y0) return 'has no area';
  if (x1 < x0 || y1 < y0) return 'has its corners in the wrong order (xmax < xmin or ymax < ymin)';
  if (x1 <= 0 || y1 <= 0 || x0 >= width || y0 >= height)
    return `lies outside its picture (${width}x${height})`;
  return null;
}

/**
 * For callers that accept no bad record.
 *
 * @throws UserError with the first error and the number of others
 */
export function assertNoErrors(name: string, { errors }: DataProblems): void {
  if (errors.length === 0) return;
  const others =
    errors.length === 1 ? '' : ` (and ${errors.length - 1} more in ${name}; tfgeo-train inspect lists them)`;
  throw new UserError(`${errors[0]!}${others}`, EXIT_CODES.data);
}
