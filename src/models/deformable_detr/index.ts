// SPDX-License-Identifier: Apache-2.0
export {
  isHuggingFaceDetr,
  loadDetrWeights,
  loadHuggingFaceDetr,
  readHuggingFaceConfig,
} from './huggingface.js';
export { DeformableDetr, type DeformableDetrOutput, type PictureInput } from './model.js';
export { fromOriginal, renameHuggingFace, renameOriginal } from './names.js';
export type { DeformableDetrOptions } from './options.js';
export { DETR_PRESETS, type DetrPresetName } from './presets.js';
export { TOP_DETECTIONS, type TopDetections, topDetections } from './top_detections.js';
