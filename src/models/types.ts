// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** An 8-bit RGB picture, row-major, three bytes a pixel. */
export interface RgbImage {
  width: number;
  height: number;
  data: Uint8Array;
}

/** `[x0, y0, x1, y1]` in pixels; (0, 0) is the outer corner of the first pixel. */
export type BoxXyxy = readonly [x0: number, y0: number, x1: number, y1: number];

/** Character span `[begin, end)` of a text, in Unicode code points (not UTF-16 units). */
export type Span = readonly [begin: number, end: number];

/** One found object. */
export interface Detection {
  /** Pixels of the picture. */
  box: BoxXyxy;
  /** [0, 1]. */
  score: number;
  /** The words of the prompt that the box answers to, exactly as typed. */
  phrase: string;
  /** Where those words stand in the prompt; none where the model was asked for classes. */
  spans: readonly Span[];
  /** Kind of object, where the model was asked for classes. */
  category?: string;
}

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
  /** `[batch, tokens, hidden]`, what a text encoder that is not trained gives, where it is known already. */
  textFeatures?: tf.Tensor3D;
}

/** `[batch, tokens]`, 1 = a token that stands for words of the caption (neither padding nor special). */
export type WordMask = tf.Tensor2D;

/** Predictions of one decoder layer. */
export interface LayerOutput {
  /** `[batch, queries, tokens]` (one logit a token), or with a last "no object" slot in softmax heads. */
  pred_logits: tf.Tensor3D;
  /** `[batch, queries, 4]`, (cx, cy, w, h) in [0, 1]. */
  pred_boxes: tf.Tensor3D;
  /** `[batch, queries, hdim]`, unit vectors, where the model aligns contrastively. */
  proj_queries?: tf.Tensor3D;
  /** `[batch, queries, 1]` logits: a box is of the object meant, not of one that is only named. Where the model tells that. */
  pred_isfinal?: tf.Tensor3D;
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
