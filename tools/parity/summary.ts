// SPDX-License-Identifier: Apache-2.0

/** How many values of a large tensor are stored. */
const SAMPLES = 512;

/** The same of a gradient: prime, so that the steps do not fall on the same tap of every kernel. */
export const GRADIENT_SAMPLES = 499;

/** Values in even steps. */
export function sampleOf(
  values: ArrayLike<number>,
  samples = SAMPLES,
): { shape: number[]; data: Float64Array } {
  const count = Math.min(samples, values.length);
  const data = Float64Array.from(
    { length: count },
    (_, k) => values[Math.floor((k * values.length) / count)]!,
  );
  return { shape: [count], data };
}

/** Mean, mean size, root of the mean square, smallest, largest. */
export function statisticsOf(values: ArrayLike<number>): { shape: number[]; data: Float64Array } {
  let [sum, sizes, squares] = [0, 0, 0];
  let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    sum += value;
    sizes += Math.abs(value);
    squares += value * value;
    smallest = Math.min(smallest, value);
    largest = Math.max(largest, value);
  }
  const n = values.length;
  const data = Float64Array.of(sum / n, sizes / n, Math.sqrt(squares / n), smallest, largest);
  return { shape: [5], data };
}
