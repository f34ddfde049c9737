// SPDX-License-Identifier: Apache-2.0
export { Decoder } from './decoder.js';
export { describeInput } from './describe_input.js';
export { Encoder, EncoderLayer } from './encoder.js';
export { huggingFaceDetrConfig, isHuggingFaceDetr, readHuggingFaceConfig } from './huggingface.js';
export { InputProjection } from './input_projection.js';
export { loadDetrWeights, loadHuggingFaceDetr, loadOriginalDetr } from './load.js';
export { DeformableDetr, type DeformableDetrOutput, type PictureInput } from './model.js';
export { BACKBONE, detrNames } from './names.js';
export type { DeformableDetrOptions } from './options.js';
export { isOriginalDetr, originalDetrArguments, originalDetrConfig } from './original.js';
export { DETR_PRESETS, type DetrPresetName } from './presets.js';
export { anchorLogits } from './proposals.js';
export { TOP_DETECTIONS, type TopDetections, topDetections } from './top_detections.js';
