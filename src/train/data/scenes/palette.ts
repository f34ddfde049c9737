// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../random.js';
import type { Rgb } from './types.js';

export type ColourName = 'red' | 'orange' | 'yellow' | 'green' | 'blue' | 'purple' | 'white' | 'black';

/** Centre of each colour word and how far a painted object may stray from it, per channel. */
const PALETTE: Record<ColourName, { rgb: Rgb; jitter: Rgb }> = {
  red: { rgb: [202, 26, 32], jitter: [26, 14, 14] },
  orange: { rgb: [240, 128, 16], jitter: [14, 14, 14] },
  yellow: { rgb: [242, 220, 42], jitter: [12, 14, 26] },
  green: { rgb: [38, 160, 52], jitter: [18, 26, 18] },
  blue: { rgb: [36, 84, 216], jitter: [18, 24, 26] },
  purple: { rgb: [146, 44, 182], jitter: [18, 18, 22] },
  white: { rgb: [240, 241, 242], jitter: [10, 10, 10] },
  black: { rgb: [26, 26, 30], jitter: [12, 12, 12] },
};

export const COLOURS = Object.keys(PALETTE) as ColourName[];

/** A painted instance of a colour word, channels in [0, 255]. */
export function jitterColour(name: ColourName, random: Random): Rgb {
  const { rgb, jitter } = PALETTE[name];
  const common = random.range(-0.5, 0.5);
  const channel = (i: 0 | 1 | 2): number =>
    Math.min(255, Math.max(0, rgb[i] + jitter[i] * (common + random.range(-0.5, 0.5))));
  return [channel(0), channel(1), channel(2)];
}

/** `amount` in [-1, 1]: towards black (negative) or white (positive). */
export function shade(rgb: Rgb, amount: number): Rgb {
  const goal = amount < 0 ? 0 : 255;
  const t = Math.abs(amount);
  return [rgb[0] + (goal - rgb[0]) * t, rgb[1] + (goal - rgb[1]) * t, rgb[2] + (goal - rgb[2]) * t];
}

/** Linear mix, `t` = 0 gives `a`. */
export function mix(a: Rgb, b: Rgb, t: number): Rgb {
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t];
}

/** `rgb` with each channel moved by up to `spread`, most of it common to the three. */
export function vary(rgb: Rgb, spread: number, random: Random): Rgb {
  const common = random.range(-spread, spread) * 0.75;
  const channel = (v: number): number =>
    Math.min(255, Math.max(0, v + common + random.range(-spread, spread) * 0.25));
  return [channel(rgb[0]), channel(rgb[1]), channel(rgb[2])];
}
