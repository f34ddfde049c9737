// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../package.js';

/**
 * Trained models that come with the package, by name. The first is the usual one; the second has the published MiniLM as its
 * text encoder (`tfgeo-train setup --text minilm`) and understands words near to those it was trained on.
 */
export const BUNDLED_MODELS = ['mdetr-g-tiny', 'mdetr-g-minilm-tiny'] as const;

const placeOf = (name: string): string => join(packageRoot(), 'models', name);

/** The small trained model that comes with the package. */
export const BUNDLED_MODEL = placeOf(BUNDLED_MODELS[0]);

/** Its tokenizer, which new models start with. */
export const BUNDLED_TOKENIZER = join(BUNDLED_MODEL, 'tokenizer.json');

/** Where a model is: at the path given, or, where nothing is there, in the package under that name. */
export function modelPlace(given: string): string {
  const named = BUNDLED_MODELS.some((name) => name === given);
  return named && !existsSync(given) ? placeOf(given) : given;
}
