// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { didYouMean, EXIT_CODES, UserError } from '../errors.js';
import type { TopDetections } from './deformable_detr/index.js';
import { metresTensor } from './metres.js';
import type { LoadedClassDetector } from './model_folder.js';
import { batchPixels } from './preprocess.js';
import type { Detection, RgbImage } from './types.js';

/** What a detector of classes needs to answer. */
export type UsableClassModel = Pick<LoadedClassDetector, 'model' | 'config'>;

/**
 * Objects of the classes of the model's list, best first: pictures in, detections out, nothing left in memory.
 * @param images of any sizes, each looked at in one piece
 * @param classes names that are asked for; none = all
 * @param threshold least score
 * @param metres per pixel of each picture, where known
 * @throws UserError for a name that is not in the list
 */
export async function detectClasses(
  { model, config }: UsableClassModel,
  images: readonly RgbImage[],
  classes: readonly string[],
  threshold: number,
  metres: readonly (number | null | undefined)[] = images.map(() => null),
): Promise<Detection[][]> {
  const wanted = classMask(config.labels, classes);
  const gsd = metresTensor(config, metres);
  const { pixels, mask } = batchPixels(images, config.preprocess);
  const found = model.predict({ pixels, pixelMask: mask, gsd }, wanted);
  tf.dispose([pixels, ...(mask ? [mask] : []), ...(gsd ? [gsd] : []), ...(wanted ? [wanted] : [])]);
  try {
    return await readDetections(found, config.labels, images, threshold);
  } finally {
    tf.dispose(found);
  }
}

/** `[classes]`, 1 for those that are asked for; null = all. @throws UserError for a name that is not in the list */
export function classMask(labels: readonly string[], classes: readonly string[]): tf.Tensor1D | null {
  if (classes.length === 0) return null;
  for (const name of classes) {
    if (labels.includes(name)) continue;
    const near = didYouMean(name, labels);
    throw new UserError(
      `The model knows no class "${name}".${near ? ` Did you mean "${near}"?` : ''} Classes: ${labels.join(', ')}.`,
      EXIT_CODES.usage,
    );
  }
  return tf.tensor1d(labels.map((label) => (classes.includes(label) ? 1 : 0)));
}

async function readDetections(
  found: TopDetections,
  labels: readonly string[],
  images: readonly RgbImage[],
  threshold: number,
): Promise<Detection[][]> {
  const [scores, classes, boxes] = await Promise.all([
    found.scores.data(),
    found.labels.data(),
    found.boxes.data(),
  ]);
  const count = found.scores.shape[1];
  return images.map(({ width, height }, i) => {
    const detections: Detection[] = [];
    for (let k = i * count; k < (i + 1) * count; k++) {
      const score = scores[k]!;
      // A class that is not asked for has the score 0.
      if (!(score >= threshold && score > 0)) continue;
      const category = labels[classes[k]!]!;
      const clamp = (part: number, size: number) => Math.min(Math.max(part, 0), 1) * size;
      const [x0, y0, x1, y1] = boxes.subarray(4 * k, 4 * k + 4) as Float32Array as unknown as number[];
      const box = [clamp(x0!, width), clamp(y0!, height), clamp(x1!, width), clamp(y1!, height)] as const;
      detections.push({ box, score, phrase: category, spans: [], category });
    }
    return detections;
  });
}
