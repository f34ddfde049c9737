// SPDX-License-Identifier: Apache-2.0

/**
 * Parts of the detectors as layers of TensorFlow.js, for models of one's own. Importing this file registers them, so that
 * `tf.loadLayersModel` finds them by name. The settings of a layer are the plain values that its module is built from.
 */
export {
  CoatBackboneLayer,
  EfficientNetBackboneLayer,
  MpvitBackboneLayer,
  ResNetBackboneLayer,
  SwinBackboneLayer,
  SwinV2BackboneLayer,
  VitBackboneLayer,
} from './backbone.js';
export { DeformableDecoderLayer, DeformableEncoderLayer, MSDeformAttnLayer } from './deformable.js';
export {
  DeformableDetrLayer,
  GroundingDinoLayer,
  MdetrGLayer,
  MdetrGUpstreamLayer,
  MdetrLayer,
  ScaleMaeDetLayer,
} from './detector.js';
export { ContrastiveAlignHeadLayer, SoftTokenHeadLayer, TokenSigmoidHeadLayer } from './heads.js';
export { BertEncoderLayer, RobertaEncoderLayer } from './text.js';
