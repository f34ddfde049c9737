// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** A batch as detectors take it. Masks: 1 = real, 0 = padding (Hugging Face's convention). */
export interface DetectorInput {
  /** `[batch, H, W, 3]`, normalised. */
  pixels: tf.Tensor4D;
  /** `[batch, H, W]`, or null when no picture is padded. */
  pixelMask: tf.Tensor3D | null;
  /** int32 `[batch, tokens]`. */
  inputIds: tf.Tensor2D;
  /** `[batch, tokens]`. */
  textMask: tf.Tensor2D;
}

/** Predictions of one decoder layer. */
export interface LayerOutput {
  /** `[batch, queries, tokens]` (one logit a token), or with a last "no object" slot in softmax heads. */
  pred_logits: tf.Tensor3D;
  /** `[batch, queries, 4]`, (cx, cy, w, h) in [0, 1]. */
  pred_boxes: tf.Tensor3D;
  /** `[batch, queries, hdim]`, unit vectors, where the model aligns contrastively. */
  proj_queries?: tf.Tensor3D;
}

/** Predictions of the last layer, with the earlier ones in `aux_outputs`. Keys are DETR's and MDETR's. */
export interface DetectorOutput extends LayerOutput {
  /** `[batch, tokens, hdim]`, unit vectors. */
  proj_tokens?: tf.Tensor3D;
  aux_outputs: LayerOutput[];
}

/** Targets of a batch, padded to a fixed number so that a whole step has static shapes. */
export interface PaddedTargets {
  /** `[batch, targets, 4]`, (cx, cy, w, h) in [0, 1]; padding rows hold a valid box. */
  boxes: tf.Tensor3D;
  /** `[batch, targets]`, 1 = a real target. */
  mask: tf.Tensor2D;
  /** `[batch, targets, slots]`: which token slots name the target (0/1). */
  positiveMap: tf.Tensor3D;
}
