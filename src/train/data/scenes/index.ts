// SPDX-License-Identifier: Apache-2.0
export { augment, turnScene } from './augment.js';
export { BACKGROUND_NAMES, type BackgroundName } from './backgrounds/index.js';
export {
  type CaptionOptions,
  captionScene,
  FORM_NAMES,
  FORMS,
  type FormName,
  type FormSpec,
  GROUPS,
  hasDistractors,
  LANDMARK_NOUNS,
  NOUNS,
  type Noun,
  SYNONYMS,
  VOCABULARIES,
  type Vocabulary,
  type VocabularyName,
} from './captions/index.js';
export {
  SceneDataset,
  type SceneDatasetOptions,
  SPLIT_SEEDS,
  type Split,
  sampleCaptions,
  toSample,
} from './dataset.js';
export { jitterPhotometry } from './effects.js';
export { generateScene, type SceneOptions } from './generate.js';
export { KIND_NAMES, type KindName } from './kinds/index.js';
export { NAMED_SCENE_NAMES, namedScene } from './named.js';
export { COLOURS, type ColourName } from './palette.js';
export type { Caption, Difficulty, Landmark, LandmarkKind, Scene, SceneObject } from './types.js';
export { type WriteScenesOptions, type WrittenScenes, writeScenes } from './write.js';
