// SPDX-License-Identifier: Apache-2.0
export {
  huggingFaceGroundingDinoConfig,
  isHuggingFaceGroundingDino,
  readGroundingDinoConfig,
} from './huggingface.js';
export {
  isMmdetectionGroundingDino,
  mmdetectionGroundingDinoConfig,
  mmdetectionNames,
} from './mmdetection.js';
export { GroundingDino, type GroundingDinoOutput } from './model.js';
export { groundingDinoNames } from './names.js';
export { type GroundingDinoOptions, LOGIT_KINDS } from './options.js';
export {
  isOriginalGroundingDino,
  originalGroundingDinoArguments,
  originalGroundingDinoConfig,
} from './original.js';
export { type PhraseLayout, phraseLayout } from './phrases.js';
export { GROUNDING_DINO_PRESETS, type GroundingDinoPresetName } from './presets.js';
