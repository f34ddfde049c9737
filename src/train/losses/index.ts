// SPDX-License-Identifier: Apache-2.0
export { alignmentMaps } from './alignment_map.js';
export { boxLosses } from './box_losses.js';
export type { LossContext, LossExtras, LossValues, StackedOutputs } from './context.js';
export { countTargets, stackLayers } from './context.js';
export { lossContrastive } from './contrastive.js';
export { contrastiveAlignSums } from './contrastive_align.js';
export type { CriterionOptions, CriterionResult, LossName } from './criterion.js';
export { SetCriterion } from './criterion.js';
export { diceLoss } from './dice.js';
export type { FocalOptions } from './focal.js';
export { FOCAL_DEFAULTS, qualityFocal, sigmoidFocal } from './focal.js';
export { logSumExp } from './log_sum_exp.js';
export type { ClassCostName, MatcherOptions, Matching } from './matcher.js';
export { describeMatching, match, matchingCosts } from './matcher.js';
export { classCriterion, classTargets, padTargets } from './set_criterion_classes.js';
