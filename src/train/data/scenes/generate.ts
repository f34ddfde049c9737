// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../../../errors.js';
import { Random } from '../../../random.js';
import { BACKGROUND_NAMES, BACKGROUNDS, type BackgroundName } from './backgrounds/index.js';
import { castRoles, drawWeighted, type Role } from './cast.js';
import { develop } from './effects.js';
import { KINDS } from './kinds/index.js';
import { layOut, orientedRectangle, type Placed } from './layout.js';
import { shade } from './palette.js';
import { Canvas } from './raster.js';
import type { Difficulty, Scene, SceneObject } from './types.js';

export interface SceneOptions {
  /** Width of the picture, pixels, 64 to 2048. Default 160. */
  size?: number;
  /** Height of the picture, pixels. Default: `size`. */
  height?: number;
  /** Number of objects asked for; those that find no room are left out. Default: drawn, 1 to 15. */
  count?: number;
  /** Default: drawn. */
  background?: BackgroundName;
  /** Default `standard`. */
  difficulty?: Difficulty;
  /** Pixels of an object per pixel it would have in a 160-pixel picture. Default: `size / 160`, at least 0.6. */
  scale?: number;
  /** What to put there instead of a drawn cast. */
  roles?: readonly Role[];
  /** Little haze and noise, as in `easy` scenes. */
  clear?: boolean;
}

/** How often each family of backgrounds is drawn, relative weights. */
const BACKGROUND_WEIGHTS: Record<BackgroundName, number> = {
  water: 1,
  shore: 1.3,
  harbour: 1.6,
  runway: 1.3,
  field: 1.1,
  roads: 1.2,
  yard: 1.3,
  roofs: 0.9,
};

/**
 * A made overhead scene: background, objects, shadows, weather. The same seed and options give the same bytes.
 *
 * @throws UserError if `size` or `count` is out of range or `background` is unknown.
 */
export function generateScene(seed: number, options: SceneOptions = {}): Scene {
  const { size = 160, height = size, difficulty = 'standard' } = options;
  checkOptions(options, size, height);
  const random = new Random(seed);
  const background =
    options.background ??
    BACKGROUND_NAMES[
      drawWeighted(
        BACKGROUND_NAMES.map((name) => BACKGROUND_WEIGHTS[name]),
        random,
      )
    ]!;
  const spec = BACKGROUNDS[background];
  const unit = options.scale ?? Math.max(0.6, Math.min(size, height) / 160);
  const zoom = difficulty === 'easy' ? random.range(1, 1.25) : random.range(0.75, 1.2);
  const canvas = new Canvas(size, height);
  const ground = spec.paint(canvas, random, unit);
  const roles = options.roles ?? castRoles(spec, difficulty, random, options.count);
  const layout = { width: size, height, scale: unit * zoom, difficulty };
  let placed = layOut(roles, ground, layout, random);
  // A cast that was asked for gets more tries; and every scene shows at least one thing.
  for (let i = 0; i < 20 && placed.length < (options.roles ? roles.length : 1); i++) {
    const again = layOut(options.roles ?? castRoles(spec, difficulty, random), ground, layout, random);
    if (again.length > placed.length) placed = again;
  }
  paint(canvas, placed, random);
  return {
    seed,
    image: develop(canvas, random, options.clear ? 'easy' : difficulty),
    objects: random.shuffle(placed).map(describe),
    landmarks: ground.landmarks,
    background,
    ambientKinds: spec.ambient,
    metresPerPixel: 0.6 / (unit * zoom),
    difficulty,
  };
}

function checkOptions(options: SceneOptions, width: number, height: number): void {
  for (const side of [width, height]) {
    if (!Number.isInteger(side) || side < 64 || side > 2048) {
      throw new UserError(`Scene size must be a whole number of pixels from 64 to 2048, but is ${side}.`);
    }
  }
  const { count, background } = options;
  if (count !== undefined && (!Number.isInteger(count) || count < 1 || count > 400)) {
    throw new UserError(`A scene has 1 to 400 objects, but ${count} were asked for.`);
  }
  if (background !== undefined && !Object.hasOwn(BACKGROUNDS, background)) {
    const near = didYouMean(background, BACKGROUND_NAMES);
    throw new UserError(
      `Unknown scene background "${background}"${near ? `, did you mean "${near}"?` : ''} Known: ${BACKGROUND_NAMES.join(', ')}.`,
    );
  }
}

/** Shadows first, so that none falls on a neighbour's colour, then the objects. */
function paint(canvas: Canvas, placed: readonly Placed[], random: Random): void {
  const sun = random.range(0, 2 * Math.PI);
  const slant = random.range(0.25, 0.6);
  const darkness = random.range(0.3, 0.55);
  for (const { kind, size, mask } of placed) {
    const { height, flies } = KINDS[kind];
    const reach = size * height * slant * (flies ? 2.2 : 1) + 1;
    canvas.fill(
      mask,
      [14, 16, 22],
      darkness,
      Math.round(Math.cos(sun) * reach),
      Math.round(Math.sin(sun) * reach),
    );
  }
  for (const { parts, rgb } of placed) {
    for (const part of parts) {
      canvas.polygon(
        part.points,
        'rgb' in part.paint ? part.paint.rgb : shade(rgb, part.paint.shade),
        part.alpha,
      );
    }
  }
}

function describe(placed: Placed): SceneObject {
  const { kind, colour, size, aspect, heading, box, area, visible, x, y } = placed;
  const polygon = orientedRectangle(x, y, size, size * aspect, heading);
  return { kind, colour, size, heading, box, polygon, area, visible };
}
