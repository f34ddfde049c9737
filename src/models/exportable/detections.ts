// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy, pairwiseIou } from '../boxes.js';
import { type TopDetections, topDetections } from '../deformable_detr/index.js';
import type { PreprocessConfig } from '../preprocess.js';
import type { AnswerRule } from '../text_detector.js';
import type { LayerOutput } from '../types.js';

/*
 * The functions that are traced when a detector is exported: from pixels to detections, in TensorFlow.js operations
 * whose shapes do not depend on values. They are the counterpart of preprocess.ts and postprocess.ts.
 */

/** Predictions of the last layer. */
type RawOutput = Pick<LayerOutput, 'pred_logits' | 'pred_boxes'>;

/** Pixels of 0 to 255 as the model takes them; padding is 0. */
export function normalisePixels(
  pixels: tf.Tensor4D,
  mask: tf.Tensor3D | null,
  { mean, std }: Pick<PreprocessConfig, 'mean' | 'std'>,
): tf.Tensor4D {
  const scale = tf.tensor1d(std.map((deviation) => 1 / (255 * deviation)));
  const shift = tf.tensor1d(mean.map((value, channel) => value / std[channel]!));
  const normalised = tf.sub(tf.mul(pixels, scale), shift) as tf.Tensor4D;
  return mask ? tf.mul(normalised, tf.expandDims(mask, 3)) : normalised;
}

/** Corners as parts of the picture to pixels inside it. @param corners `[batch, N, 4]` @param sizes `[batch, 2]` */
function toPixels(corners: tf.Tensor3D, sizes: tf.Tensor2D): tf.Tensor3D {
  const limits = tf.expandDims(tf.concat([sizes, sizes], 1), 1); // [batch, 1, 4]
  return tf.minimum(tf.maximum(tf.mul(corners, limits), 0), limits) as tf.Tensor3D;
}

/** Rows of every batch item by number. @param x `[batch, N, ...]` @param rows int32 `[batch, K]` */
function pick<T extends tf.Tensor>(x: T, rows: tf.Tensor2D): T {
  return tf.gather(x, rows, 1, 1) as T;
}

/**
 * Which boxes greedy suppression keeps, the same as `nmsXyxy`: `[batch, N]`, 1 or 0.
 *
 * Each of N - 1 rounds settles one more box: one is dropped if a kept better one overlaps it too much. That is as many
 * small products, and needs neither loops nor shapes that depend on values.
 * @param boxes `[batch, N, 4]` corners, best first
 */
export function keepMask(boxes: tf.Tensor3D, iouThreshold: number): tf.Tensor2D {
  const [, count] = boxes.shape;
  const better = tf.tidy(() => tf.tensor2d(lowerTriangle(count), [count, count]));
  const overlaps = tf.cast(tf.greater(pairwiseIou(boxes, boxes), iouThreshold), 'float32');
  const drops = tf.mul(overlaps, better); // [batch, N, N]: column drops row
  let kept = tf.onesLike(tf.slice(boxes, [0, 0, 0], [-1, -1, 1])); // [batch, N, 1]
  for (let round = 1; round < count; round++) {
    kept = tf.sub(1, tf.minimum(tf.matMul(drops, kept), 1)) as tf.Tensor3D;
  }
  return tf.squeeze(kept, [2]) as tf.Tensor2D;
}

function lowerTriangle(size: number): Float32Array {
  const values = new Float32Array(size * size);
  for (let row = 0; row < size; row++) values.fill(1, row * size, row * size + row);
  return values;
}

export interface TextSelection extends AnswerRule {
  threshold: number;
  maxDetections: number;
  /** Token numbers of each phrase, where the query is part of the graph. */
  phrases: readonly (readonly number[])[] | null;
}

/** Detections of a model that reads a sentence, best first; rows behind the last one are 0. */
export interface TextDetections extends Record<string, tf.Tensor> {
  /** `[batch, K, 4]`, (x0, y0, x1, y1) in pixels. */
  boxes: tf.Tensor3D;
  /** `[batch, K]` */
  scores: tf.Tensor2D;
  /** `[batch, K, tokens]`: how much each word of the query is meant; 0 for special tokens and padding. */
  token_scores: tf.Tensor3D;
  /** int32 `[batch]`: detections above the threshold. */
  count: tf.Tensor1D;
}

/** @param wordMask `[batch, tokens]`, 1 = a token that stands for words */
export function selectByText(
  { pred_logits, pred_boxes }: RawOutput,
  wordMask: tf.Tensor2D,
  sizes: tf.Tensor2D,
  options: TextSelection,
): TextDetections {
  const [, queries, slots] = pred_logits.shape;
  const tokens = wordMask.shape[1];
  const probability = options.soft ? tf.softmax(pred_logits) : tf.sigmoid(pred_logits);
  const words = tf.mul(firstColumns(probability, tokens), tf.expandDims(wordMask, 1)) as tf.Tensor3D;
  const score = options.soft
    ? tf.sub(1, tf.squeeze(tf.slice(probability, [0, 0, slots - 1], [-1, -1, 1]), [2]))
    : tf.max(options.specialTokens ? probability : words, 2);
  const sorted = tf.topk(score as tf.Tensor2D, queries, true);
  const order = sorted.indices as tf.Tensor2D;
  const boxes = pick(toPixels(cxcywhToXyxy(pred_boxes) as tf.Tensor3D, sizes), order);
  const kept = options.duplicateIou < 1 ? keepMask(boxes, options.duplicateIou) : tf.onesLike(sorted.values);
  // Suppressed ones sink below all others.
  const ranked = tf.sub(tf.mul(tf.add(sorted.values, 1), kept), 1) as tf.Tensor2D;
  const best = tf.topk(ranked, Math.min(options.maxDetections, queries), true);
  const rows = best.indices as tf.Tensor2D;
  const real = tf.cast(tf.greaterEqual(best.values, 0), 'float32') as tf.Tensor2D;
  const blank = <T extends tf.Tensor>(x: T) => tf.mul(x, tf.expandDims(real, 2)) as T;
  const scores = tf.relu(best.values) as tf.Tensor2D;
  const tokenScores = blank(pick(pick(words, order), rows));
  return {
    boxes: blank(pick(boxes, rows)),
    scores,
    token_scores: tokenScores,
    count: countAbove(scores, options.threshold),
    ...(options.phrases ? phraseOutputs(tokenScores, options.phrases) : {}),
  };
}

/** The first columns, zeros where there are fewer. @param x `[batch, N, slots]` */
function firstColumns(x: tf.Tensor, columns: number): tf.Tensor {
  const slots = x.shape[2]!;
  if (slots >= columns) return tf.slice(x, [0, 0, 0], [-1, -1, columns]);
  return tf.pad(x, [
    [0, 0],
    [0, 0],
    [0, columns - slots],
  ]);
}

function countAbove(scores: tf.Tensor2D, threshold: number): tf.Tensor1D {
  return tf.sum(tf.cast(tf.greaterEqual(scores, threshold), 'int32'), 1) as tf.Tensor1D;
}

/** `phrase_scores [batch, K, phrases]`, and the best phrase of each, `phrase` int32 `[batch, K]`. */
function phraseOutputs(tokenScores: tf.Tensor3D, phrases: readonly (readonly number[])[]) {
  const tokens = tokenScores.shape[2];
  const values = new Float32Array(phrases.length * tokens);
  phrases.forEach((own, i) => {
    for (const token of own) values[i * tokens + token] = 1;
  });
  const members = tf.tensor4d(values, [1, 1, phrases.length, tokens]);
  const scores = tf.max(tf.mul(tf.expandDims(tokenScores, 2), members), 3) as tf.Tensor3D;
  return { phrase_scores: scores, phrase: tf.argMax(scores, 2) as tf.Tensor2D };
}

export interface ClassSelection {
  threshold: number;
  maxDetections: number;
}

/** Detections of a model with classes, best first. */
export interface ClassDetections extends Record<string, tf.Tensor> {
  /** `[batch, K, 4]`, (x0, y0, x1, y1) in pixels. */
  boxes: tf.Tensor3D;
  /** `[batch, K]` */
  scores: tf.Tensor2D;
  /** int32 `[batch, K]`, number of the class. */
  labels: tf.Tensor2D;
  /** int32 `[batch]`: detections above the threshold. */
  count: tf.Tensor1D;
}

/** The best pairs of query and class. @param wanted `[classes]`, 1 = a class that is asked for; null = all */
export function selectByClass(
  raw: RawOutput,
  sizes: tf.Tensor2D,
  wanted: tf.Tensor1D | null,
  options: ClassSelection,
): ClassDetections {
  return placeDetections(topDetections(raw, wanted, options.maxDetections), sizes, options);
}

/** Detections with their boxes in pixels. */
export function placeDetections(
  { scores, labels, boxes }: TopDetections,
  sizes: tf.Tensor2D,
  { threshold }: ClassSelection,
): ClassDetections {
  return { boxes: toPixels(boxes, sizes), scores, labels, count: countAbove(scores, threshold) };
}
