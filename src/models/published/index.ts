// SPDX-License-Identifier: Apache-2.0

/** Published weights: telling what they are of, looking into them, and converting them. */
export { type ConvertOptions, type ConvertReport, convertCheckpoint } from './convert.js';
export {
  type CheckpointReport,
  type Fate,
  formatCheckpointReport,
  inspectCheckpoint,
  type TensorReport,
} from './inspect.js';
export { PUBLISHED_KINDS, readPublished, recognise } from './kinds.js';
export type { Published, PublishedKind, Recognised } from './types.js';
