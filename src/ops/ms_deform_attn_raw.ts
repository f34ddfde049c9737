// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { argumentError, checkTensor } from './check.js';
import { msDeformAttn } from './ms_deform_attn.js';
import { checkPositions, checkValue, type MsDeformAttnOptions } from './ms_deform_attn_check.js';
import { msDeformAttnAttributes, msDeformAttnKernels } from './ms_deform_attn_native.js';
import type { SpatialShapes } from './ms_deform_attn_plain.js';
import { type OpRegistration, useNative } from './registry.js';

const OP = 'msDeformAttnRaw';
const KERNEL = 'TfgeoMsDeformAttnRaw';
const GRAD_KERNEL = 'TfgeoMsDeformAttnRawGrad';

/** Row of the registration list, see index.ts. */
export const msDeformAttnRawRegistration: OpRegistration = msDeformAttnKernels(KERNEL, GRAD_KERNEL, [
  'referencePoints',
  'samplingOffsets',
  'attentionLogits',
]);

/**
 * `msDeformAttn` from what a network gives: the softmax of the logits and the places that the offsets lead to are found
 * inside the op and never stored. Differentiable in the four tensors. Everything else is as in `msDeformAttn`; NaN as a
 * logit, offset or reference point makes its query and head NaN.
 *
 * Source: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection".
 *
 * @param value `[N, S, M, D]`, the maps one after the other, each row-major; `S` is the sum of `H * W`
 * @param spatialShapes (H, W) of the `L` maps
 * @param referencePoints `[N, Q, L, 2]` (x, y) or `[N, Q, L, 4]` (cx, cy, w, h), in [0, 1] of each map
 * @param samplingOffsets `[N, Q, M, L, P, 2]`, (x, y) in pixels from a point, in `P`-ths of half a box from its centre
 * @param attentionLogits `[N, Q, M, L * P]`; a head's weights are their softmax
 * @returns `[N, Q, M * D]`
 * @throws Error naming the argument that has the wrong type, shape or size
 */
export function msDeformAttnRaw(
  value: tf.Tensor4D,
  spatialShapes: SpatialShapes,
  referencePoints: tf.Tensor,
  samplingOffsets: tf.Tensor,
  attentionLogits: tf.Tensor4D,
  options: MsDeformAttnOptions = {},
): tf.Tensor3D {
  const sizes = checkValue(OP, value, spatialShapes, options);
  const { batch, heads, levels } = sizes;
  const { queries, points } = checkPositions(OP, 'samplingOffsets', samplingOffsets, sizes);
  checkReference(OP, referencePoints, [batch, queries, levels]);
  const logits = [batch, queries, heads, levels * points];
  checkTensor(OP, 'attentionLogits', attentionLogits, 'float32', '[N, Q, M, L * P]', logits);
  if (useNative(OP, msDeformAttnRawRegistration, options)) {
    const inputs = { value, referencePoints, samplingOffsets, attentionLogits };
    const attributes = msDeformAttnAttributes(spatialShapes, options);
    return tf.engine().runKernel(KERNEL, inputs, attributes) as tf.Tensor3D;
  }
  return tf.tidy(() => {
    const locations = locateSamples(referencePoints, samplingOffsets, spatialShapes);
    const weights = weighSamples(attentionLogits, levels);
    return msDeformAttn(value, spatialShapes, locations, weights, { ...options, path: 'plain' });
  });
}

/**
 * Sampling locations `[N, Q, M, L, P, 2]` as `msDeformAttnRaw` finds them.
 * @param referencePoints `[N, Q, L, 2 or 4]` @param samplingOffsets `[N, Q, M, L, P, 2]`
 */
export function locateSamples(
  referencePoints: tf.Tensor,
  samplingOffsets: tf.Tensor,
  spatialShapes: SpatialShapes,
): tf.Tensor {
  const [batch, queries, , levels, points] = samplingOffsets.shape as [
    number,
    number,
    number,
    number,
    number,
  ];
  const coordinates = checkReference('locateSamples', referencePoints, [batch, queries, levels]);
  const byLevel = tf.reshape(referencePoints, [batch, queries, 1, levels, 1, coordinates]);
  if (coordinates === 2) {
    const sizes = spatialShapes.flatMap(([h, w]) => [w, h]);
    return tf.add(byLevel, tf.div(samplingOffsets, tf.tensor(sizes, [1, 1, 1, levels, 1, 2])));
  }
  const [centre, size] = tf.split(byLevel, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.add(centre, tf.mul(samplingOffsets, tf.mul(size, 0.5 / points)));
}

/** Attention weights `[N, Q, M, L, P]`, the softmax of logits `[N, Q, M, L * P]`. */
export function weighSamples(attentionLogits: tf.Tensor4D, levels: number): tf.Tensor5D {
  const [batch, queries, heads, samples] = attentionLogits.shape;
  // The weight of a single sample is 1; rounding in the softmax's gradient would say that its logit matters.
  const weights = samples === 1 ? tf.add(tf.mul(attentionLogits, 0), 1) : tf.softmax(attentionLogits);
  return tf.reshape(weights, [batch, queries, heads, levels, samples / levels]) as tf.Tensor5D;
}

function checkReference(op: string, reference: tf.Tensor, shape: readonly number[]): number {
  const coordinates = reference.shape[3];
  if (coordinates !== 2 && coordinates !== 4) {
    throw argumentError(op, 'shape [N, Q, L, 2 or 4]', 'referencePoints', `[${reference.shape.join(', ')}]`);
  }
  checkTensor(op, 'referencePoints', reference, 'float32', '[N, Q, L, 2 or 4]', [...shape, coordinates]);
  return coordinates;
}
