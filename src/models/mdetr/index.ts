// SPDX-License-Identifier: Apache-2.0
export { boxesInPixels, rankQueries, softTokenScores } from './answers.js';
export { type PooledPair, SoftTokenDetector, type SoftTokenOutput } from './detector.js';
export { Mdetr } from './mdetr.js';
export { MdetrGUpstream } from './mdetr_g_upstream.js';
export { mdetrGNames, mdetrNames, mdetrNamesWith } from './names.js';
export {
  ALIGN_SCALES,
  CLASS_SCALES,
  type MdetrGUpstreamOptions,
  type MdetrOptions,
  type SoftTokenOptions,
  TRANSFORMER_KINDS,
} from './options.js';
export { isOriginalMdetr, originalMdetrArguments, originalMdetrConfig } from './original.js';
export { MDETR_G_PRESETS, MDETR_PRESETS, type MdetrGPresetName, type MdetrPresetName } from './presets.js';
export {
  type Answers,
  answerHeads,
  QUESTION_SET_NAMES,
  type QuestionSet,
} from './questions.js';
