// SPDX-License-Identifier: Apache-2.0
export { layAnchors, type MapSize } from './anchors.js';
export {
  type BoxWeights,
  clipBoxes,
  DETECTION_WEIGHTS,
  decodeBoxes,
  encodeBoxes,
  PROPOSAL_WEIGHTS,
} from './box_coder.js';
export { BoxHead, type BoxOutput, mapOfBoxes, readBoxes } from './box_head.js';
export {
  type ProposalStage,
  ScaleMaeDet,
  type ScaleMaeDetOutput,
} from './model.js';
export { scaleMaeDetNames } from './names.js';
export { classSlots, firstSlot, PARITIES, PYRAMIDS, type ScaleMaeDetOptions } from './options.js';
export {
  isOriginalScaleMaeDet,
  originalScaleMaeDetArguments,
  originalScaleMaeDetConfig,
} from './original.js';
export { SCALEMAE_DET_PRESETS, type ScaleMaeDetPresetName } from './presets.js';
export { type AnchorOutput, ProposalHead, propose } from './proposal_network.js';
export { type Pyramid, ScaleMaePyramid, VitDetPyramid } from './pyramid.js';
export { type Kept, suppress } from './suppress.js';
