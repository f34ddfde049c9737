// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../errors.js';

/** Weights of losses with what a run changes of them. @throws UserError for a loss that the model does not have */
export function withGiven<T extends object>(
  defaults: Readonly<T>,
  given: Readonly<Record<string, number>>,
): T {
  const known = Object.keys(defaults);
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const near = didYouMean(unknown, known);
    throw new UserError(
      `lossWeights: the model has no loss "${unknown}"${near ? `, did you mean "${near}"?` : ''} (known: ${known.join(', ')})`,
    );
  }
  return { ...defaults, ...given };
}
