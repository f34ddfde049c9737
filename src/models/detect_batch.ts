// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LoadedTextDetector } from './model_folder.js';
import { postprocess } from './postprocess.js';
import { disposeBatch, prepareBatch } from './preprocess.js';
import type { Detection, RgbImage } from './types.js';

/** What a detector needs to answer a sentence. */
export type UsableModel = Pick<LoadedTextDetector, 'model' | 'config' | 'tokenizer'>;

/**
 * What each caption names in its picture, best first: pictures in, detections out, nothing left in memory.
 * @param images of any sizes, each looked at in one piece
 * @param captions one for each picture
 * @param threshold least score
 * @throws UserError for a caption that is empty or longer than the text encoder takes
 */
export async function detectBatch(
  { model, config, tokenizer }: UsableModel,
  images: readonly RgbImage[],
  captions: readonly string[],
  threshold: number,
): Promise<Detection[][]> {
  const batch = prepareBatch(images, captions, tokenizer, model.prompt, config.preprocess);
  try {
    const output = model.predict(batch, batch.wordMask);
    try {
      return await postprocess(model.answers, output, batch, captions, images, threshold);
    } finally {
      tf.dispose([output.pred_logits, output.pred_boxes]);
    }
  } finally {
    disposeBatch(batch);
  }
}
