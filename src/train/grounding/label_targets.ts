// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LabelTexts } from '../../models/mdetr_g.js';
import { batchText, padTexts } from '../../models/preprocess.js';
import type { PromptOptions, Tokenizer } from '../../models/text/index.js';
import type { GroundedObject } from '../data/types.js';
import { paddedCount } from '../padding.js';

/** Places for labels at least. */
const LEAST_LABELS = 16;

/** Words that are true of objects whatever the sentence says, and where they hold. */
export interface LabelTargets {
  texts: LabelTexts;
  /** `[labels]`, 1 = a label, 0 = padding. */
  mask: tf.Tensor1D;
  /** `[batch, S, labels]`, 1 where a label holds. */
  truth: tf.Tensor3D;
  /** `[batch, S]`, 1 at tokens that answer for an object with labels. */
  rowMask: tf.Tensor2D;
}

/**
 * Every label of the batch as a text of its own, padded to few different numbers, and which image tokens it is true of. A sentence names few objects; this
 * teaches kinds and colours on all of them.
 * @param objects of each picture
 * @param assigned object of every image token, or -1, for each picture
 * @returns null where no object has a label
 */
export function labelTargets(
  objects: readonly (readonly GroundedObject[])[],
  assigned: readonly Int32Array[],
  tokenizer: Tokenizer,
  prompt: PromptOptions,
): LabelTargets | null {
  const labels = [...new Set(objects.flatMap((own) => own.flatMap((o) => o.labels ?? [])))].sort();
  if (labels.length === 0) return null;
  const count = paddedCount(labels.length, LEAST_LABELS);
  const rows = assigned[0]!.length;
  const truth = new Float32Array(objects.length * rows * count);
  const mask = new Float32Array(objects.length * rows);
  objects.forEach((own, i) => {
    assigned[i]!.forEach((object, r) => {
      const row = i * rows + r;
      for (const label of own[object]?.labels ?? []) {
        mask[row] = 1;
        truth[row * count + labels.indexOf(label)] = 1;
      }
    });
  });
  const texts = padTexts(batchText(labels, tokenizer, prompt), count, tokenizer.padding.id);
  return {
    texts: { ids: texts.inputIds, mask: texts.textMask, wordMask: texts.wordMask },
    mask: tf.tensor1d(Float32Array.from({ length: count }, (_, i) => (i < labels.length ? 1 : 0))),
    truth: tf.tensor3d(truth, [objects.length, rows, count]),
    rowMask: tf.tensor2d(mask, [objects.length, rows]),
  };
}
