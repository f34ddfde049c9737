// SPDX-License-Identifier: Apache-2.0

/**
 * Places for `count` things: `least` times 1, 2, 3, 4, 6, 8, 12, 16, 24, ... A training step is compiled once for each shape,
 * so few different numbers should occur; never more than half of the places are empty above `least`.
 */
export function paddedCount(count: number, least: number): number {
  let power = least;
  while (power < count) power *= 2;
  const between = power * 0.75;
  return Number.isInteger(between / least) && between >= count ? between : power;
}
