// SPDX-License-Identifier: Apache-2.0
import type { ModelOf } from '../../models/build.js';
import type { TextDetectorConfig } from '../../models/config.js';
import type { PreparedBatch } from '../../models/preprocess.js';
import type { RandomStream } from '../../ops/index.js';
import type { RunConfig } from '../config/schema.js';
import type { TaskLoss } from '../task.js';
import type { GroundingTargets, TargetOptions } from './batch.js';
import { groundingDinoLosses } from './grounding_dino_losses.js';
import { mdetrGLosses } from './mdetr_g_losses.js';
import { mdetrGUpstreamLosses, mdetrLosses } from './mdetr_losses.js';

/** Keys of a run that say what is learned and how much it counts. */
export type LossSettings = Pick<
  RunConfig,
  | 'lossWeights'
  | 'auxWeight'
  | 'denseWeight'
  | 'denseTokens'
  | 'denoisingWeight'
  | 'denoisingGroups'
  | 'denoisingNoise'
>;

/** The tensors of a prepared batch. */
export type LossInput = Pick<
  PreparedBatch,
  'pixels' | 'pixelMask' | 'inputIds' | 'textMask' | 'wordMask' | 'textFeatures'
>;

/** The targets that a model learns from. */
export type LossTargets = Pick<TargetOptions, 'spatialShapes' | 'queries' | 'denseTokens' | 'denoising'>;

/** What a model learns from: the targets it needs, and the loss on them. */
export interface GroundingLosses {
  /** @param width @param height of the padded batch, in pixels */
  targets(width: number, height: number): LossTargets;
  /**
   * The loss of a batch, from the pixels on.
   * @param random draws what is dropped
   */
  compute(input: LossInput, targets: GroundingTargets, random: RandomStream): TaskLoss;
}

type Models = {
  [T in TextDetectorConfig['model_type']]: ModelOf<Extract<TextDetectorConfig, { model_type: T }>>;
};

/** The losses of each type of model. */
const LOSSES: {
  readonly [T in keyof Models]: (model: Models[T], settings: LossSettings) => GroundingLosses;
} = {
  'mdetr-g': mdetrGLosses,
  mdetr: mdetrLosses,
  'mdetr-g-upstream': mdetrGUpstreamLosses,
  'grounding-dino': groundingDinoLosses,
};

/**
 * The losses of a model.
 * @throws UserError for a weight of a loss that the model does not have
 */
export function buildLosses<C extends TextDetectorConfig>(
  model: ModelOf<C>,
  { model_type }: Pick<C, 'model_type'>,
  settings: LossSettings,
): GroundingLosses {
  const build = LOSSES[model_type] as unknown as (
    model: ModelOf<C>,
    settings: LossSettings,
  ) => GroundingLosses;
  return build(model, settings);
}
