// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../../random.js';
import type { BackgroundSpec } from './backgrounds/index.js';
import type { KindName } from './kinds/index.js';
import { COLOURS, type ColourName } from './palette.js';
import type { Difficulty } from './types.js';

/** What shall be in a scene, before anything has a place. */
export interface Role {
  kind: KindName;
  colour: ColourName;
}

/** Number of objects of a scene, relative weights from 1 upward. */
const COUNTS: Record<Difficulty, readonly number[]> = {
  standard: [2, 3, 12, 17, 18, 15, 11, 8, 6, 2.5, 1.5, 1.3, 1, 0.9, 0.8],
  easy: [1, 6, 25, 30, 24, 14],
};

/** An index drawn with the given relative weights. */
export function drawWeighted(weights: readonly number[], random: Random): number {
  let left = random.uniform() * weights.reduce((sum, w) => sum + w, 0);
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i]!;
    if (left < 0) return i;
  }
  return weights.length - 1;
}

/**
 * Chooses the objects of a scene so that words are needed to tell them apart: few kinds and few colours are crossed,
 * and the first three are a pair of one kind in two colours and a pair of one colour in two kinds.
 */
export function castRoles(
  spec: BackgroundSpec,
  difficulty: Difficulty,
  random: Random,
  count?: number,
): Role[] {
  const n = count ?? drawWeighted(COUNTS[difficulty], random) + 1;
  const names = Object.keys(spec.kinds) as KindName[];
  const weights = names.map((name) => spec.kinds[name] ?? 0);
  const kinds: KindName[] = [];
  const wantedKinds = Math.min(
    names.length,
    n > 6 ? 2 + random.integer(3) : n > 4 ? 2 + random.integer(2) : 2,
  );
  while (kinds.length < wantedKinds) {
    const index = drawWeighted(weights, random);
    weights[index] = 0;
    kinds.push(names[index]!);
  }
  const colours = random.shuffle(COLOURS).slice(0, 2 + random.integer(n > 6 ? 4 : n > 4 ? 3 : 2));
  const roles: Role[] = [
    { kind: kinds[0]!, colour: colours[0]! },
    { kind: kinds[0]!, colour: colours[1]! },
    { kind: kinds[1] ?? kinds[0]!, colour: colours[0]! },
  ].slice(0, n);
  while (roles.length < n) {
    if (random.chance(0.38)) {
      roles.push(random.pick(roles));
    } else {
      const kind = kinds[Math.min(kinds.length - 1, random.integer(kinds.length + 1) % kinds.length)]!;
      roles.push({ kind, colour: random.chance(0.9) ? random.pick(colours) : random.pick(COLOURS) });
    }
  }
  return roles;
}
