// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../random.js';
import type { RgbImage } from '../types.js';
import { vary } from './palette.js';
import type { Canvas } from './raster.js';
import { grain } from './texture.js';
import type { Difficulty, Rgb } from './types.js';

/** What the air and the camera do to a picture. */
interface Weather {
  /** 1 leaves differences of brightness as they are. */
  contrast: number;
  brightness: number;
  /** Share of haze colour at the two ends of `direction`; alike enough to stay above 0 in the corners. */
  haze: readonly [near: number, far: number];
  hazeColour: Rgb;
  direction: number;
  /** Standard deviation of the noise, grey levels. */
  noise: number;
  /** Weight of each neighbour in a three-pixel blur. */
  blur: number;
}

function drawWeather(random: Random, difficulty: Difficulty): Weather {
  const mild = difficulty === 'easy';
  const hazy = !mild && random.chance(0.3);
  const haze = hazy ? random.range(0.08, 0.3) : random.range(0, 0.07);
  return {
    contrast: !mild && random.chance(0.3) ? random.range(0.66, 0.85) : random.range(0.86, 1.08),
    brightness: random.range(-14, 12),
    haze: [haze * random.range(0.6, 1), haze],
    hazeColour: vary([188, 194, 200], 10, random),
    direction: random.range(0, 2 * Math.PI),
    noise: mild ? random.range(0, 4) : random.range(1, 9),
    blur: random.chance(mild ? 0.2 : 0.5) ? random.range(0.03, 0.17) : 0,
  };
}

/** Blur, contrast, haze and noise, then 8-bit numbers. */
export function develop(canvas: Canvas, random: Random, difficulty: Difficulty): RgbImage {
  const { width, height, data } = canvas;
  const weather = drawWeather(random, difficulty);
  if (weather.blur > 0) blur(canvas, weather.blur);
  const out = new Uint8Array(width * height * 3);
  const noise = grain();
  const mask = noise.length - 1;
  let n = random.integer(noise.length);
  const [near, far] = weather.haze;
  const gx = (Math.cos(weather.direction) * (far - near)) / width;
  const gy = (Math.sin(weather.direction) * (far - near)) / height;
  const middle = 118;
  const lift = middle * (1 - weather.contrast) + weather.brightness;
  for (let y = 0, i = 0; y < height; y++) {
    let haze = near + (far - near) / 2 + (y - height / 2) * gy - (width / 2) * gx;
    for (let x = 0; x < width; x++, haze += gx) {
      // Most of sensor noise is common to the channels.
      const common = noise[n++ & mask]! * weather.noise * 0.75;
      for (let c = 0; c < 3; c++, i++) {
        const v = data[i]! * weather.contrast + lift;
        const value =
          v + (weather.hazeColour[c]! - v) * haze + common + noise[n++ & mask]! * weather.noise * 0.5;
        out[i] = value < 0 ? 0 : value > 255 ? 255 : value + 0.5;
      }
    }
    // Rows must not repeat the tile in step.
    n += 7;
  }
  return { width, height, data: out };
}

/** A separable three-pixel blur, in place; `side` is the weight of each neighbour. */
function blur(canvas: Canvas, side: number): void {
  const { width, height, data } = canvas;
  const centre = 1 - 2 * side;
  const row = width * 3;
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < 3; c++) {
      let previous = data[y * row + c]!;
      for (let x = 0, i = y * row + c; x < width; x++, i += 3) {
        const here = data[i]!;
        const next = x + 1 < width ? data[i + 3]! : here;
        data[i] = previous * side + here * centre + next * side;
        previous = here;
      }
    }
  }
  const above = data.slice(0, row);
  for (let y = 0; y < height; y++) {
    for (let x = 0, i = y * row; x < row; x++, i++) {
      const here = data[i]!;
      const below = y + 1 < height ? data[i + row]! : here;
      data[i] = above[x]! * side + here * centre + below * side;
      above[x] = here;
    }
  }
}

/** Changes brightness, contrast and white balance a little; a cheap augmentation. Returns a new picture. */
export function jitterPhotometry(image: RgbImage, random: Random): RgbImage {
  const gain = random.range(0.88, 1.12);
  const tables = [0, 1, 2].map(() => {
    const own = gain * random.range(0.97, 1.03);
    const offset = random.range(-4, 4) + 118 * (1 - gain);
    return Uint8Array.from({ length: 256 }, (_, v) =>
      Math.max(0, Math.min(255, Math.round(v * own + offset))),
    );
  });
  const data = new Uint8Array(image.data.length);
  const [red, green, blue] = [tables[0]!, tables[1]!, tables[2]!];
  for (let i = 0; i < data.length; i += 3) {
    data[i] = red[image.data[i]!]!;
    data[i + 1] = green[image.data[i + 1]!]!;
    data[i + 2] = blue[image.data[i + 2]!]!;
  }
  return { width: image.width, height: image.height, data };
}
