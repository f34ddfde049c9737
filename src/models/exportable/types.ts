// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { Module } from '../module.js';

/** A batch of pictures as an exported graph takes it. */
export interface PictureBatch {
  /** `[batch, H, W, 3]`, 0 to 255. */
  pixels: tf.Tensor4D;
  /** `[batch, H, W]`, 1 = picture, 0 = padding; null where pictures fill the whole. */
  mask: tf.Tensor3D | null;
  /** `[batch, 2]`, width and height that boxes are given in. */
  sizes: tf.Tensor2D;
}

/** An input of an exported graph beside the pictures. */
export interface ExtraInput {
  name: string;
  dtype: 'int32' | 'float32';
  /** Of one picture; the batch goes before it. */
  shape: readonly number[];
  /** What a picture counts as of which nothing is known, if there is such a value. */
  missing?: number;
  /** A value for the examples that an export carries; `number` tells them apart. */
  example(number: number): Int32Array | Float32Array;
}

/** What to export a detector with. */
export interface ExportQuery {
  /** Phrases or names of classes that become part of the graph; none: the words are an input, or all classes are meant. */
  prompts: readonly string[];
  /** Tokens of an input of words, special ones included; default: what the model reads, up to 64. */
  tokens?: number;
  /** Most detections of a picture. */
  maxDetections: number;
  /** Metres per pixel, of the pictures as they are sent, that become part of the graph; none: they are an input, where the model counts metres. */
  metresPerPixel?: number;
}

/** What can be exported: gives itself as functions over tensors. */
export interface ExportSource {
  /** @throws UserError for a query that it cannot take */
  exportable(query: ExportQuery): Exportable;
}

/**
 * A detector as it is exported: functions over tensors, whose shapes depend on no values, and what must be known about
 * them. Every detector is turned into one of these; the exporter knows nothing else.
 */
export interface Exportable {
  /** Kind of detector, for the description. */
  kind: string;
  /** Its parameters keep their names in the checkpoint. */
  module: Module;
  /** Side of the pictures it was made for. */
  imageSize: number;
  /** Sides must be multiples of this. */
  multiple: number;
  /** Least score that it reports, unless told otherwise. */
  threshold: number;
  inputs: readonly ExtraInput[];
  /**
   * A query that is an input (`input_ids`, `attention_mask`): its number of tokens, the id of padding, and what a text must
   * end with, if anything; null: none is.
   */
  query: { tokens: number; padding: number; closing?: string } | null;
  /** Names of classes or phrases, in the order of their numbers. */
  labels: readonly string[];
  /** Files that belong to the model, by name. */
  assets: Readonly<Record<string, string>>;
  /**
   * From pixels to predictions of the last layer (`raw`) and detections. Every output begins with the batch; all of rank
   * two or more have one row for each query or detection.
   * @param extra tensors for `inputs`, by name
   */
  run(
    pictures: PictureBatch,
    extra: Readonly<Record<string, tf.Tensor>>,
  ): { raw: Record<string, tf.Tensor>; detections: Record<string, tf.Tensor> };
}
