// SPDX-License-Identifier: Apache-2.0
export { huggingFaceDetrConfig, isHuggingFaceDetr, readHuggingFaceConfig } from './huggingface.js';
export { loadDetrWeights, loadHuggingFaceDetr, loadOriginalDetr } from './load.js';
export { DeformableDetr, type DeformableDetrOutput, type PictureInput } from './model.js';
export { detrNames } from './names.js';
export type { DeformableDetrOptions } from './options.js';
export { isOriginalDetr, originalDetrArguments, originalDetrConfig } from './original.js';
export { DETR_PRESETS, type DetrPresetName } from './presets.js';
export { TOP_DETECTIONS, type TopDetections, topDetections } from './top_detections.js';
