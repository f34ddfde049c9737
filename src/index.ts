// SPDX-License-Identifier: Apache-2.0

/**
 * tfgeo: text-conditioned object detection in overhead imagery.
 *
 * ```ts
 * import { load, ready } from 'tfgeo';
 * await ready();
 * const model = await load();
 * const { boxes, scores, phrases } = await model.detect('scene.tif', 'white boats at the pier');
 * ```
 */
export {
  type DetectOptions,
  Detector,
  type DetectResult,
  type ImageInput,
  load,
} from './detector.js';
export {
  type Compiled,
  type CompileOptions,
  compile,
  currentEngine,
  type EngineInfo,
  inScope,
  type NodeProfile,
  type Profile,
  type ProfileRow,
  profileFunction,
  type ReadyOptions,
  ready,
  setCompiling,
  setTraceListener,
  setup,
  sumProfile,
  type TraceReport,
} from './engine/index.js';
export { EXIT_CODES, UserError } from './errors.js';
export { type ExportOptions, type ExportReport, exportModel } from './export/index.js';
export * from './geo/index.js';
export { SWIN_VARIANTS } from './models/backbones/index.js';
export { BUNDLED_MODEL, BUNDLED_MODELS } from './models/bundled.js';
export {
  type CatalogueEntry,
  catalogue,
  catalogueEntries,
  type ModelSize,
  measureSize,
} from './models/catalogue.js';
export { type ModelConfig, PRESETS, preset } from './models/config.js';
export type {
  Exportable,
  ExportQuery,
  ExportSource,
  ExtraInput,
  PictureBatch,
} from './models/exportable/index.js';
export {
  type CheckpointReport,
  type ConvertOptions,
  type ConvertReport,
  convertCheckpoint,
  inspectCheckpoint,
} from './models/published/index.js';
export { Tokenizer } from './models/text/index.js';
export * from './models/tf_layers/index.js';
export { type CheckpointFile, readCheckpoint } from './models/weights/checkpoint_file.js';
export { readSafetensors, writeSafetensors } from './models/weights/safetensors.js';
export { countFlops, type FlopCount, linearAssignment, msDeformAttn, msDeformAttnRaw } from './ops/index.js';
export { type ProfileModelOptions, profileModel } from './profile_model.js';
export {
  encodeQuery,
  type PredictOptions,
  predict,
  type QueryInputs,
  type RunningServer,
  type ServedDetection,
  type ServeOptions,
  serve,
} from './serving/index.js';
export {
  type CocoAnnotation,
  type CocoEvaluation,
  type CocoParams,
  type CocoResult,
  type CocoTruth,
  cocoEvaluate,
  type EntityPhrase,
  type GroundedPhrase,
  type PhraseRecall,
  type PrecisionAt,
  parseEntityBoxes,
  parseEntitySentences,
  phraseRecall,
  type RankedBox,
  type ReferringSample,
  referringPrecision,
} from './train/evaluators/index.js';
