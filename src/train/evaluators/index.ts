// SPDX-License-Identifier: Apache-2.0
export {
  type CocoAnnotation,
  type CocoEvaluation,
  type CocoParams,
  type CocoResult,
  type CocoTruth,
  cocoEvaluate,
} from './coco.js';
export { type EntityPhrase, parseEntityBoxes, parseEntitySentences } from './flickr_entities.js';
export { type GroundedPhrase, type PhraseRecall, phraseRecall } from './phrase_recall.js';
export { evaluateGrounded, type GroundedFigures, type GroundedSample, groundedTable } from './phrases.js';
export type { RankedBox } from './ranked.js';
export { type PrecisionAt, type ReferringSample, referringPrecision } from './referring.js';
