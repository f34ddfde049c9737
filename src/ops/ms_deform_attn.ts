// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { roundToBfloat16 } from './bfloat16.js';
import { checkTensor } from './check.js';
import { checkPositions, checkValue, type MsDeformAttnOptions } from './ms_deform_attn_check.js';
import { msDeformAttnAttributes, msDeformAttnKernels } from './ms_deform_attn_native.js';
import { msDeformAttnPlain, type SpatialShapes } from './ms_deform_attn_plain.js';
import { type OpRegistration, useNative } from './registry.js';

const OP = 'msDeformAttn';
const KERNEL = 'TfgeoMsDeformAttn';
const GRAD_KERNEL = 'TfgeoMsDeformAttnGrad';

/** Row of the registration list, see index.ts. */
export const msDeformAttnRegistration: OpRegistration = msDeformAttnKernels(KERNEL, GRAD_KERNEL, [
  'samplingLocations',
  'attentionWeights',
]);

/**
 * Multi-scale deformable attention: every query takes a few bilinear samples of each feature map and sums them, weighted
 * per head. Differentiable in `value`, `samplingLocations` and `attentionWeights`.
 *
 * Pixel coordinates are `x * W - 0.5` and `y * H - 0.5`; what lies outside a map is 0, and a sample counts only where
 * both coordinates lie strictly between -1 and the size. Where a coordinate is an integer the gradient of the location
 * is the derivative to the right. NaN as a location or weight makes its query and head NaN.
 *
 * Source: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection".
 *
 * @param value `[N, S, M, D]`, the maps one after the other, each row-major; `S` is the sum of `H * W`
 * @param spatialShapes (H, W) of the `L` maps
 * @param samplingLocations `[N, Q, M, L, P, 2]`, (x, y) in [0, 1] of the map
 * @param attentionWeights `[N, Q, M, L, P]`
 * @returns `[N, Q, M * D]`
 * @throws Error naming the argument that has the wrong type, shape or size
 */
export function msDeformAttn(
  value: tf.Tensor4D,
  spatialShapes: SpatialShapes,
  samplingLocations: tf.Tensor,
  attentionWeights: tf.Tensor5D,
  options: MsDeformAttnOptions = {},
): tf.Tensor3D {
  const sizes = checkValue(OP, value, spatialShapes, options);
  const { batch, heads, levels } = sizes;
  const { queries, points } = checkPositions(OP, 'samplingLocations', samplingLocations, sizes);
  const weights = [batch, queries, heads, levels, points];
  checkTensor(OP, 'attentionWeights', attentionWeights, 'float32', '[N, Q, M, L, P]', weights);
  if (useNative(OP, msDeformAttnRegistration, options)) {
    const inputs = { value, samplingLocations, attentionWeights };
    const attributes = msDeformAttnAttributes(spatialShapes, options);
    return tf.engine().runKernel(KERNEL, inputs, attributes) as tf.Tensor3D;
  }
  return tf.tidy(() => {
    if (options.values !== 'bfloat16') {
      return msDeformAttnPlain(value, spatialShapes, samplingLocations, attentionWeights);
    }
    const rounded = roundToBfloat16(value);
    return roundToBfloat16(msDeformAttnPlain(rounded, spatialShapes, samplingLocations, attentionWeights));
  });
}
