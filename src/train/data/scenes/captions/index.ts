// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../../../errors.js';
import type { Random } from '../../../../random.js';
import { drawWeighted } from '../cast.js';
import type { Caption, Scene } from '../types.js';
import { FORM_NAMES, FORMS, type FormName, type Sentences } from './forms.js';
import { finish } from './sentence.js';

export { FORM_NAMES, FORMS, type FormName, type FormSpec, type Sentences } from './forms.js';
export { hasDistractors } from './phrase.js';
export { GENERIC, GROUPS, LANDMARK_NOUNS, NOUNS, type Noun, SYNONYMS, UNSEEN_SYNONYMS } from './words.js';

/**
 * A sentence about a scene, true by construction and by a margin. With `form`, of that form, or null where the scene
 * offers none; without, the form is drawn by its weight among those that the scene offers. `sentences` says which weights;
 * without, those of the scene's difficulty.
 *
 * @throws UserError if `form` is unknown.
 */
export function captionScene(scene: Scene, random: Random, form?: undefined, sentences?: Sentences): Caption;
export function captionScene(scene: Scene, random: Random, form: FormName): Caption | null;
export function captionScene(
  scene: Scene,
  random: Random,
  form?: FormName,
  sentences: Sentences = scene.difficulty,
): Caption | null {
  if (form !== undefined) {
    if (!Object.hasOwn(FORMS, form)) {
      throw new UserError(`Unknown form of sentence "${form}". Known: ${FORM_NAMES.join(', ')}.`);
    }
    const draft = FORMS[form].build(scene, random);
    return draft && finish(draft, form, random);
  }
  const weights = FORM_NAMES.map((name) => FORMS[name].weight[sentences]);
  for (let left = FORM_NAMES.length; left > 0; left--) {
    const index = drawWeighted(weights, random);
    const draft = FORMS[FORM_NAMES[index]!].build(scene, random);
    if (draft) return finish(draft, FORM_NAMES[index]!, random);
    weights[index] = 0;
  }
  // Every scene shows a kind, so that the form `kind` never fails.
  throw new Error(`[captionScene] no sentence for scene ${scene.seed}`);
}
