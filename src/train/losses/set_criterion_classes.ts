// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { PaddedTargets } from '../../models/types.js';
import type { CriterionOptions } from './criterion.js';
import { SetCriterion } from './criterion.js';
import { FOCAL_DEFAULTS } from './focal.js';

/** Deformable DETR's criterion (Zhu et al. 2021): sigmoid focal loss over classes, no background slot. */
export function classCriterion(options: Partial<CriterionOptions> = {}): SetCriterion {
  return new SetCriterion({
    losses: ['token_focal', 'boxes', 'cardinality'],
    weights: { loss_ce: 2, loss_bbox: 5, loss_giou: 2 },
    matcher: { classCost: 'focal-class', class: 2, bbox: 5, giou: 2 },
    focal: FOCAL_DEFAULTS,
    focalNormaliser: 'boxes',
    cardinality: 'sigmoid',
    ...options,
  });
}

/**
 * Targets with class numbers, padded; to the losses a class is a positive map with a single one.
 *
 * @param boxes of each picture, cxcywh in [0, 1]
 * @param labels of each picture, as many as boxes, each in 0 .. slots - 1
 * @param slots last dimension of the logits
 * @param capacity targets to pad to; default: the largest number in the batch, at least 1
 */
export function classTargets(
  boxes: readonly (readonly (readonly number[])[])[],
  labels: readonly (readonly number[])[],
  slots: number,
  capacity?: number,
): PaddedTargets {
  const maps = labels.map((row, i) =>
    row.map((label) => {
      if (!Number.isInteger(label) || label < 0 || label >= slots) {
        throw new Error(
          `[classTargets] expected labels in 0..${slots - 1} for picture ${i} but received ${label}`,
        );
      }
      return [label];
    }),
  );
  return padTargets(boxes, maps, slots, capacity);
}

/**
 * Targets with lists of positive slots (tokens or classes), padded.
 *
 * @param boxes of each picture, cxcywh in [0, 1] @param positives of each target, the slots that are 1
 */
export function padTargets(
  boxes: readonly (readonly (readonly number[])[])[],
  positives: readonly (readonly (readonly number[])[])[],
  slots: number,
  capacity: number = Math.max(1, ...boxes.map((rows) => rows.length)),
): PaddedTargets {
  const batch = boxes.length;
  const values = new Float32Array(batch * capacity * 4);
  const mask = new Float32Array(batch * capacity);
  const map = new Float32Array(batch * capacity * slots);
  for (let i = 0; i < batch; i++) {
    const rows = boxes[i]!;
    if (rows.length > capacity || rows.length !== positives[i]?.length) {
      throw new Error(
        `[padTargets] expected at most ${capacity} targets and as many maps for picture ${i} but received ` +
          `${rows.length} boxes and ${positives[i]?.length ?? 0} maps`,
      );
    }
    for (let j = 0; j < capacity; j++) {
      const at = i * capacity + j;
      values.set(rows[j] ?? [0.5, 0.5, 1, 1], at * 4);
      mask[at] = j < rows.length ? 1 : 0;
      for (const slot of positives[i]![j] ?? []) if (slot < slots) map[at * slots + slot] = 1;
    }
  }
  return {
    boxes: tf.tensor3d(values, [batch, capacity, 4]),
    mask: tf.tensor2d(mask, [batch, capacity]),
    positiveMap: tf.tensor3d(map, [batch, capacity, slots]),
  };
}
