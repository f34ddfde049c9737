// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LossContext, LossValues } from './context.js';
import { gatherTargets, perLayer } from './context.js';
import type { FocalOptions } from './focal.js';
import { sigmoidFocal } from './focal.js';

/** Settings of the focal losses over token or class slots. */
export interface TokenFocalOptions {
  focal: FocalOptions;
  /**
   * What the sum is divided by: the number of targets (Deformable DETR, Grounding DINO), or the number of
   * (target, token) pairs that are positive, which keeps long phrases from weighing more than short ones.
   */
  normaliser: 'boxes' | 'tokens';
}

/**
 * `loss_ce` of heads with one sigmoid per token or class: focal loss against the matched target's positive map, nothing
 * for unmatched queries. Padding tokens (`extras.tokenMask` 0) don't count.
 *
 * Source: Zhu et al. 2021 (classes), Liu et al. 2023 (tokens).
 */
export function lossTokenFocal(
  { outputs, targets, matching, numBoxes, extras }: LossContext,
  { focal, normaliser }: TokenFocalOptions,
): LossValues {
  const slots = outputs.logits.shape[3];
  const wanted = gatherTargets(targets.positiveMap, tf.zeros([1, slots]), matching);
  const [batch] = outputs.logits.shape;
  const mask = extras.tokenMask ? tf.reshape(extras.tokenMask, [batch, 1, 1, slots]) : null;
  let loss = sigmoidFocal(mask ? hidePadding(outputs.logits, mask) : outputs.logits, wanted, focal);
  if (mask) loss = tf.mul(loss, mask);
  const divisor = normaliser === 'boxes' ? numBoxes : countPositives(targets.positiveMap, targets.mask);
  return { loss_ce: perLayer(loss, divisor) };
}

/** Logits with 0 on padding, where they may be -inf: multiplying the loss by the mask would leave NaN there. */
function hidePadding(logits: tf.Tensor4D, mask: tf.Tensor): tf.Tensor4D {
  const real = tf.cast(tf.broadcastTo(mask, logits.shape), 'bool');
  return tf.where(real, logits, tf.zerosLike(logits));
}

/** Positive (target, token) pairs of real targets, at least 1. */
function countPositives(map: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor {
  const perTarget = tf.sum(tf.cast(tf.greater(map, 0), 'float32'), -1);
  return tf.maximum(tf.sum(tf.mul(perTarget, mask)), 1);
}
