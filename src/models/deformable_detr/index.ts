// SPDX-License-Identifier: Apache-2.0
export { loadDeformableDetr, readHuggingFaceConfig } from './huggingface.js';
export { DeformableDetr, type DeformableDetrOutput, type PictureInput } from './model.js';
export { fromOriginal, renameHuggingFace, renameOriginal } from './names.js';
export type { DeformableDetrOptions } from './options.js';
