// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../../errors.js';
import { demo } from './demo.js';
import { mdetrGMinilmTiny, mdetrGMinilmTinyEncoder } from './mdetr_g_minilm_tiny.js';
import { mdetrGTiny, mdetrGTinyEncoder } from './mdetr_g_tiny.js';
import { smoke } from './smoke.js';
import type { Recipe } from './types.js';

export type { Recipe } from './types.js';

/** Every recipe by name. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  'mdetr-g-tiny-encoder': mdetrGTinyEncoder,
  'mdetr-g-tiny': mdetrGTiny,
  'mdetr-g-minilm-tiny-encoder': mdetrGMinilmTinyEncoder,
  'mdetr-g-minilm-tiny': mdetrGMinilmTiny,
  demo,
  smoke,
};

/** @throws UserError for a name that is not in RECIPES */
export function recipe(name: string): Recipe {
  const found = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (found) return found;
  const names = Object.keys(RECIPES);
  const guess = didYouMean(name, names);
  const hint = guess ? `did you mean "${guess}"?` : `choose one of ${names.join(', ')}`;
  throw new UserError(`unknown recipe "${name}", ${hint}`);
}
