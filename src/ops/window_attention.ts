// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { argumentError, checkTensor } from './check.js';
import { type WindowAttentionInputs, windowAttentionPlain } from './window_attention_plain.js';
import type { WindowPlan } from './window_plan.js';

const OP = 'windowAttention';

export interface WindowAttentionOptions {
  /** Queries and keys are divided by their lengths (Swin V2). */
  cosine?: boolean;
}

/**
 * `softmax(scale q k^T + bias + mask) v` by heads within (shifted) windows of a grid of tokens that are and stay in the
 * grid's order. Windows that reach beyond the grid see `padding` there; what the shift brought together is kept apart.
 * Differentiable in all tensors. Sources: Liu et al. 2021, "Swin Transformer"; Liu et al. 2022, "Swin Transformer V2".
 *
 * @returns `[batch * height * width, C]`
 * @throws Error naming the argument that has the wrong type or shape
 */
export function windowAttention(
  inputs: WindowAttentionInputs,
  plan: WindowPlan,
  { cosine = false }: WindowAttentionOptions = {},
): tf.Tensor2D {
  const { qkv, padding, bias, scale } = inputs;
  const { batch, height, width, window } = plan.spec;
  const [heads] = bias.shape as [number];
  checkTensor(OP, 'bias', bias, 'float32', '[heads, T, T]', [null, window ** 2, window ** 2]);
  checkTensor(OP, 'qkv', qkv, 'float32', '[rows, 3 * C]', [batch * height * width, null]);
  const columns = qkv.shape[1];
  if (columns % (3 * heads) !== 0) {
    throw argumentError(OP, `3 * C columns, C a multiple of ${heads} heads`, 'qkv', `${columns}`);
  }
  if (padding) checkTensor(OP, 'padding', padding, 'float32', '[3 * C]', [columns]);
  if (scale) checkTensor(OP, 'scale', scale, 'float32', '[heads]', [heads]);
  return windowAttentionPlain(inputs, plan, cosine);
}
