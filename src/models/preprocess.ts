// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.js';
import { type Encoding, encodePrompt, type PromptOptions, type Tokenizer } from './text/index.js';
import type { DetectorInput, RgbImage } from './types.js';

export interface PreprocessConfig {
  /** Per channel, of values in [0, 1]. */
  mean: [number, number, number];
  std: [number, number, number];
  /** Width and height are padded to a multiple of this (the coarsest stride). */
  multiple: number;
}

/** Mean and deviation of ImageNet, which published backbones were trained with. */
export const IMAGENET: Pick<PreprocessConfig, 'mean' | 'std'> = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** A batch as the model takes it, with what is needed to read its answer. */
export interface PreparedBatch extends DetectorInput {
  /** `[batch, tokens]`, 1 = a token that stands for words of the caption. */
  wordMask: tf.Tensor2D;
  encodings: Encoding[];
  /** Width and height of the padded batch, in pixels. */
  width: number;
  height: number;
}

/**
 * Pictures to one normalised batch, padded at the right and bottom to the largest and to `multiple`.
 * @returns `pixels [batch, H, W, 3]` and `mask [batch, H, W]` (1 = real), null when nothing was padded
 */
export function batchPixels(
  images: readonly RgbImage[],
  config: PreprocessConfig,
): { pixels: tf.Tensor4D; mask: tf.Tensor3D | null } {
  if (images.length === 0)
    throw new UserError('[preprocess] expected at least one picture but received none');
  const padded = (n: number) => Math.ceil(n / config.multiple) * config.multiple;
  const width = padded(Math.max(...images.map((image) => image.width)));
  const height = padded(Math.max(...images.map((image) => image.height)));
  const values = new Float32Array(images.length * width * height * 3);
  images.forEach((image, i) => {
    normaliseInto(values.subarray(i * width * height * 3), image, width, config);
  });
  const pixels = tf.tensor4d(values, [images.length, height, width, 3]);
  const whole = images.every((image) => image.width === width && image.height === height);
  return { pixels, mask: whole ? null : paddingMask(images, width, height) };
}

function normaliseInto(
  target: Float32Array,
  image: RgbImage,
  stride: number,
  config: PreprocessConfig,
): void {
  const table = config.mean.map((mean, c) =>
    Float32Array.from({ length: 256 }, (_, v) => (v / 255 - mean) / config.std[c]!),
  ) as [Float32Array, Float32Array, Float32Array];
  const [red, green, blue] = table;
  let from = 0;
  for (let y = 0; y < image.height; y++) {
    let to = y * stride * 3;
    for (let x = 0; x < image.width; x++) {
      target[to++] = red[image.data[from++]!]!;
      target[to++] = green[image.data[from++]!]!;
      target[to++] = blue[image.data[from++]!]!;
    }
  }
}

function paddingMask(images: readonly RgbImage[], width: number, height: number): tf.Tensor3D {
  const mask = new Float32Array(images.length * width * height);
  images.forEach((image, i) => {
    for (let y = 0; y < image.height; y++) {
      const row = (i * height + y) * width;
      mask.fill(1, row, row + image.width);
    }
  });
  return tf.tensor3d(mask, [images.length, height, width]);
}

/**
 * Captions to ids and masks, padded to the longest (rounded up to a multiple, so that few shapes occur).
 * @param multiple of tokens; training takes a larger one, because it compiles a step for each
 * @param maxTokens what the text encoder takes, special tokens included
 * @throws UserError for an empty caption, and for one that is longer than the encoder takes: nothing is cut silently
 */
export function batchText(
  captions: readonly string[],
  tokenizer: Tokenizer,
  prompt: PromptOptions,
  multiple = 8,
): Pick<PreparedBatch, 'inputIds' | 'textMask' | 'wordMask' | 'encodings'> {
  const encodings = captions.map((caption) => encodePrompt(caption, tokenizer, prompt));
  const longest = Math.max(...encodings.map((encoding) => encoding.ids.length));
  const length = Math.min(Math.ceil(longest / multiple) * multiple, prompt.maxTokens);
  const ids = new Int32Array(captions.length * length).fill(tokenizer.padding.id);
  const mask = new Float32Array(captions.length * length);
  const words = new Float32Array(captions.length * length);
  encodings.forEach((encoding, i) => {
    ids.set(encoding.ids, i * length);
    mask.fill(1, i * length, i * length + encoding.ids.length);
    encoding.specialTokensMask.forEach((special, t) => {
      if (!special) words[i * length + t] = 1;
    });
  });
  const shape: [number, number] = [captions.length, length];
  return {
    inputIds: tf.tensor2d(ids, shape, 'int32'),
    textMask: tf.tensor2d(mask, shape),
    wordMask: tf.tensor2d(words, shape),
    encodings,
  };
}

/** The same texts with empty ones after them, `count` in all; takes over the tensors. */
export function padTexts(
  texts: Pick<PreparedBatch, 'inputIds' | 'textMask' | 'wordMask'>,
  count: number,
  padId: number,
): Pick<PreparedBatch, 'inputIds' | 'textMask' | 'wordMask'> {
  const { inputIds, textMask, wordMask } = texts;
  const after: [[number, number], [number, number]] = [
    [0, count - inputIds.shape[0]],
    [0, 0],
  ];
  const padded = {
    inputIds: tf.pad(inputIds, after, padId),
    textMask: tf.pad(textMask, after),
    wordMask: tf.pad(wordMask, after),
  };
  tf.dispose([inputIds, textMask, wordMask]);
  return padded;
}

/** Pictures and captions, one for one, to a batch. @param textMultiple see `batchText` */
export function prepareBatch(
  images: readonly RgbImage[],
  captions: readonly string[],
  tokenizer: Tokenizer,
  prompt: PromptOptions,
  config: PreprocessConfig,
  textMultiple = 8,
): PreparedBatch {
  const text = batchText(captions, tokenizer, prompt, textMultiple);
  const { pixels, mask } = batchPixels(images, config);
  return { pixels, pixelMask: mask, ...text, width: pixels.shape[2], height: pixels.shape[1] };
}

/** Frees the tensors of a batch. */
export function disposeBatch(batch: PreparedBatch): void {
  tf.dispose([batch.pixels, batch.inputIds, batch.textMask, batch.wordMask]);
  batch.pixelMask?.dispose();
  batch.textFeatures?.dispose();
}
