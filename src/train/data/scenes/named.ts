// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../../../errors.js';
import type { BackgroundName } from './backgrounds/index.js';
import type { Role } from './cast.js';
import { generateScene, type SceneOptions } from './generate.js';
import type { KindName } from './kinds/index.js';
import type { ColourName } from './palette.js';
import type { Scene } from './types.js';

type Cast = readonly (readonly [kind: KindName, colour: ColourName, count: number])[];

/** Scenes for demonstrations, with a fixed cast. */
const NAMED_SCENES: Record<string, { background: BackgroundName; cast: Cast }> = {
  harbour: {
    background: 'harbour',
    cast: [
      ['ship', 'red', 2],
      ['ship', 'white', 2],
      ['ship', 'blue', 1],
      ['tank', 'white', 2],
      ['container', 'red', 1],
      ['container', 'blue', 1],
      ['container', 'orange', 1],
      ['truck', 'yellow', 1],
    ],
  },
  airfield: {
    background: 'runway',
    cast: [
      ['plane', 'white', 3],
      ['plane', 'red', 1],
      ['plane', 'blue', 1],
      ['helicopter', 'red', 1],
      ['helicopter', 'yellow', 1],
      ['truck', 'white', 1],
    ],
  },
  depot: {
    background: 'yard',
    cast: [
      ['container', 'blue', 3],
      ['container', 'red', 2],
      ['truck', 'red', 1],
      ['truck', 'white', 2],
      ['car', 'blue', 2],
      ['tank', 'white', 1],
    ],
  },
};

export const NAMED_SCENE_NAMES = Object.keys(NAMED_SCENES);

/**
 * A scene for demonstrations: `harbour`, `airfield` or `depot`, in clear air.
 *
 * @throws UserError if there is no scene of that name.
 */
export function namedScene(
  name: string,
  seed: number,
  options: Pick<SceneOptions, 'size' | 'height' | 'scale'> = {},
): Scene {
  const spec = Object.hasOwn(NAMED_SCENES, name) ? NAMED_SCENES[name] : undefined;
  if (!spec) {
    const near = didYouMean(name, NAMED_SCENE_NAMES);
    const known = NAMED_SCENE_NAMES.join(', ');
    throw new UserError(
      `Unknown scene "${name}"${near ? `, did you mean "${near}"?` : '.'} Known: ${known}.`,
    );
  }
  const roles = spec.cast.flatMap(([kind, colour, count]): Role[] => Array(count).fill({ kind, colour }));
  return generateScene(seed, { ...options, background: spec.background, roles, clear: true });
}
