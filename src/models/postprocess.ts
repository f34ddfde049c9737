// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { nmsXyxy } from './nms.js';
import type { PreparedBatch } from './preprocess.js';
import { type Encoding, phraseOfTokens } from './text/index.js';
import type { AnswerRule, Prediction } from './text_detector.js';
import type { Detection, Span } from './types.js';

/** A word belongs to a detection if its probability is at least this share of the best word's. */
const WORD_SHARE = 0.5;

/**
 * Predictions of the last decoder layer as detections of each picture, best first.
 * @param answers how the model's predictions are read
 * @param sizes width and height of each picture, in pixels
 * @param threshold least score
 */
export async function postprocess(
  answers: AnswerRule,
  output: Prediction,
  batch: PreparedBatch,
  captions: readonly string[],
  sizes: readonly { width: number; height: number }[],
  threshold: number,
): Promise<Detection[][]> {
  const { soft, duplicateIou } = answers;
  const probability = tf.tidy(() => (soft ? tf.softmax(output.pred_logits) : tf.sigmoid(output.pred_logits)));
  const [probabilities, boxes] = await Promise.all([probability.data(), output.pred_boxes.data()]);
  const [, queries, slots] = output.pred_logits.shape;
  probability.dispose();
  return captions.map((caption, i) => {
    const found: Detection[] = [];
    for (let q = 0; q < queries; q++) {
      const row = (i * queries + q) * slots;
      const tokens = probabilities.subarray(row, row + slots) as Float32Array;
      const score = soft
        ? 1 - tokens[slots - 1]!
        : bestToken(tokens, batch.encodings[i]!, answers.specialTokens);
      if (!(score >= threshold)) continue;
      const box = boxes.subarray((i * queries + q) * 4, (i * queries + q + 1) * 4) as Float32Array;
      found.push({
        box: toPixels(box, sizes[i]!),
        score,
        ...phraseOf(caption, tokens, batch.encodings[i]!),
      });
    }
    const boxesOf = found.map(({ box }) => box);
    const scores = found.map(({ score }) => score);
    return nmsXyxy(boxesOf, scores, duplicateIou).map((kept) => found[kept]!);
  });
}

/** Largest probability of a token, or only of those that stand for words. */
function bestToken(tokens: Float32Array, encoding: Encoding, specialTokens: boolean): number {
  let best = 0;
  encoding.specialTokensMask.forEach((special, t) => {
    if (specialTokens || !special) best = Math.max(best, tokens[t] ?? 0);
  });
  return best;
}

/**
 * The words whose probability is near the best one's, as typed; parts that stand apart are joined by a space.
 * @param tokens probabilities by token; those behind the encoding's are ignored
 */
export function phraseOf(
  caption: string,
  tokens: Float32Array,
  encoding: Encoding,
): { phrase: string; spans: Span[] } {
  const phrases = phraseOfTokens(caption, encoding, tokens, WORD_SHARE * bestToken(tokens, encoding, false));
  return { phrase: phrases.map(({ text }) => text).join(' '), spans: phrases.map(({ span }) => span) };
}

function toPixels(
  box: ArrayLike<number>,
  { width, height }: { width: number; height: number },
): [number, number, number, number] {
  const [cx, cy, w, h] = [box[0]!, box[1]!, box[2]!, box[3]!];
  const clamp = (x: number, limit: number) => Math.min(Math.max(x, 0), limit);
  return [
    clamp((cx - w / 2) * width, width),
    clamp((cy - h / 2) * height, height),
    clamp((cx + w / 2) * width, width),
    clamp((cy + h / 2) * height, height),
  ];
}
