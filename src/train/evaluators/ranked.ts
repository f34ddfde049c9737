// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { BoxXyxy } from '../../models/types.js';

/** A predicted box and how sure it is. */
export interface RankedBox {
  box: BoxXyxy;
  score: number;
}

/** @throws UserError naming `where` and the prediction that has a score or a coordinate that is not finite */
export function checkRanked(where: string, predictions: readonly RankedBox[]): void {
  predictions.forEach(({ box, score }, i) => {
    if (Number.isFinite(score) && box.length === 4 && box.every(Number.isFinite)) return;
    throw new UserError(
      `${where}: prediction ${i} has score ${score} and box [${box.join(', ')}]; all must be finite numbers`,
      EXIT_CODES.data,
    );
  });
}
