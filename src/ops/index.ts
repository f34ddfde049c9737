// SPDX-License-Identifier: Apache-2.0
import { adamWRegistration } from './adamw.js';
import { attentionRegistration } from './attention.js';
import { geluRegistration } from './gelu.js';
import { layerNormRegistration } from './layer_norm.js';
import { linearAssignmentRegistration } from './linear_assignment.js';
import { msDeformAttnRegistration } from './ms_deform_attn.js';
import { msDeformAttnRawRegistration } from './ms_deform_attn_raw.js';
import { type OpRegistration, register } from './registry.js';
import { roiAlignRegistration } from './roi_align.js';

/**
 * tfgeo's operators. Each runs a TensorFlow op of its own on engine `tensorflow` and its meaning in TensorFlow.js
 * operations elsewhere.
 */
export {
  type AdamWResult,
  type AdamWVectors,
  adamW,
  adamWPlain,
  squaredNorm,
  squaredNormPlain,
} from './adamw.js';
export { type AttentionLayout, type AttentionOptions, attention } from './attention.js';
export { roundToBfloat16 } from './bfloat16.js';
export { argumentError, checkTensor } from './check.js';
export { countFlops, type FlopCount } from './flops.js';
export { gelu, geluPlain } from './gelu.js';
export { layerNorm, layerNormPlain } from './layer_norm.js';
export { linearAssignment, linearAssignmentPlain } from './linear_assignment.js';
export { msDeformAttn } from './ms_deform_attn.js';
export type { MsDeformAttnOptions } from './ms_deform_attn_check.js';
export { msDeformAttnPlain, type SpatialShapes } from './ms_deform_attn_plain.js';
export { locateSamples, msDeformAttnRaw, weighSamples } from './ms_deform_attn_raw.js';
export { detach, noGrad } from './no_grad.js';
export {
  RandomSeeds,
  type RandomSeedsState,
  RandomStream,
  seedTensor,
  statelessRandomNormal,
  statelessRandomUniform,
} from './random.js';
export type { OpOptions, OpPath } from './registry.js';
export { setDefaultOpPath } from './registry.js';
export { type RoiAlignOptions, type RoiMap, roiAlign } from './roi_align.js';
export { selfAttention } from './self_attention.js';
export { windowAttention } from './window_attention.js';
export { attendWindows, scaleQueries, type WindowAttentionInputs } from './window_attention_plain.js';
export { type Grid, PlanCache, WindowPlan } from './window_plan.js';

/** The registration list: one row per op. */
const REGISTRATIONS: readonly OpRegistration[] = [
  msDeformAttnRegistration,
  msDeformAttnRawRegistration,
  linearAssignmentRegistration,
  layerNormRegistration,
  geluRegistration,
  adamWRegistration,
  attentionRegistration,
  roiAlignRegistration,
];

/**
 * Registers all kernels and gradients with TensorFlow.js. The op functions do it themselves when first used; a program
 * that runs the kernels by name calls it first. Doing it again changes nothing.
 */
export function registerOps(): void {
  for (const registration of REGISTRATIONS) register(registration);
}
