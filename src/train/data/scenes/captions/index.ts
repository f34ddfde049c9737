// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../../../errors.js';
import type { Random } from '../../../../random.js';
import { drawWeighted } from '../cast.js';
import type { Caption, Scene } from '../types.js';
import { FORM_NAMES, FORMS, type FormName, type Sentences } from './forms.js';
import { type Draft, finish } from './sentence.js';
import { reword, type VocabularyName } from './vocabulary.js';

export { FORM_NAMES, FORMS, type FormName, type FormSpec, type Sentences } from './forms.js';
export { hasDistractors } from './phrase.js';
export { labelsIn, VOCABULARIES, type Vocabulary, type VocabularyName } from './vocabulary.js';
export { GENERIC, GROUPS, LANDMARK_NOUNS, NOUNS, type Noun, SYNONYMS } from './words.js';

/** How sentences are drawn. */
export interface CaptionOptions {
  /** This form alone. */
  form?: FormName;
  /** How often each form occurs; default: by the scene's difficulty. */
  sentences?: Sentences;
  /** Words to use; default: the plain ones, with a synonym now and then. */
  vocabulary?: VocabularyName;
}

/**
 * A sentence about a scene, true by construction and by a margin. With `form`, of that form, or null where the scene
 * offers none; without, the form is drawn by its weight among those that the scene offers.
 *
 * @throws UserError if `form` is unknown.
 */
export function captionScene(
  scene: Scene,
  random: Random,
  options: CaptionOptions & { form: FormName },
): Caption | null;
export function captionScene(
  scene: Scene,
  random: Random,
  options?: CaptionOptions & { form?: undefined },
): Caption;
export function captionScene(scene: Scene, random: Random, options: CaptionOptions = {}): Caption | null {
  const { form, sentences = scene.difficulty, vocabulary } = options;
  const say = (draft: Draft, of: FormName): Caption =>
    finish(vocabulary === undefined ? draft : reword(draft, scene, vocabulary, random), of, random);
  if (form !== undefined) {
    if (!Object.hasOwn(FORMS, form)) {
      throw new UserError(`Unknown form of sentence "${form}". Known: ${FORM_NAMES.join(', ')}.`);
    }
    const draft = FORMS[form].build(scene, random);
    return draft && say(draft, form);
  }
  const weights = FORM_NAMES.map((name) => FORMS[name].weight[sentences]);
  for (let left = FORM_NAMES.length; left > 0; left--) {
    const index = drawWeighted(weights, random);
    const draft = FORMS[FORM_NAMES[index]!].build(scene, random);
    if (draft) return say(draft, FORM_NAMES[index]!);
    weights[index] = 0;
  }
  // Every scene shows a kind, so that the form `kind` never fails.
  throw new Error(`[captionScene] no sentence for scene ${scene.seed}`);
}
