// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type {
  DeformableDetr,
  DeformableDetrOutput,
  PictureInput,
} from '../../models/deformable_detr/index.js';
import type { PaddedTargets } from '../../models/types.js';
import type { RandomStream } from '../../ops/index.js';
import {
  type CriterionOptions,
  type CriterionResult,
  classCriterion,
  type Matching,
  type SetCriterion,
} from '../losses/index.js';
import type { TaskLoss } from '../task.js';

export interface DetectionLosses extends CriterionResult {
  /** Matching of the first-stage proposals, where their loss was taken. */
  proposals: Matching | null;
}

/**
 * The losses of Deformable DETR: those of all decoder layers and, with two stages, of the proposals, which have to find
 * objects whatever their class (keys end in `_enc`). Source: Zhu et al. 2021.
 */
export class DetectionCriterion {
  private readonly layers: SetCriterion;
  private readonly firstStage: SetCriterion;

  /** @param proposalLoss whether proposals are trained (transformers leaves that out) */
  constructor(
    options: Partial<CriterionOptions> = {},
    private readonly proposalLoss = true,
  ) {
    this.layers = classCriterion(options);
    this.firstStage = classCriterion({ ...options, losses: ['token_focal', 'boxes'] });
  }

  /** The losses of a batch. */
  lossOf(model: DeformableDetr, input: PictureInput, targets: PaddedTargets, random: RandomStream): TaskLoss {
    const { total, parts } = this.compute(model.forward(input, { training: true, random }), targets);
    return { total, parts };
  }

  compute(output: DeformableDetrOutput, targets: PaddedTargets): DetectionLosses {
    const result = this.layers.compute(output, targets);
    if (!output.enc_outputs || !this.proposalLoss) return { ...result, proposals: null };
    const objects = { ...targets, positiveMap: firstClass(targets) };
    const first = this.firstStage.compute({ ...output.enc_outputs, aux_outputs: [] }, objects);
    const parts = Object.entries(first.parts).map(([key, value]) => [`${key}_enc`, value] as const);
    return {
      total: tf.add(result.total, first.total) as tf.Scalar,
      parts: { ...result.parts, ...Object.fromEntries(parts) },
      matching: result.matching,
      proposals: first.matching,
    };
  }
}

/** Every target as one of class 0. */
function firstClass({ mask, positiveMap }: PaddedTargets): tf.Tensor3D {
  const slots = positiveMap.shape[2];
  return tf.pad(tf.expandDims(mask, 2), [
    [0, 0],
    [0, 0],
    [0, slots - 1],
  ]) as tf.Tensor3D;
}
