// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { msDeformAttnPlain, type SpatialShapes } from './ms_deform_attn_plain.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'msDeformAttn';
const KERNEL = 'TfgeoMsDeformAttn';
const GRAD_KERNEL = 'TfgeoMsDeformAttnGrad';

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
  options: OpOptions = {},
): tf.Tensor3D {
  checkArguments(value, spatialShapes, samplingLocations, attentionWeights);
  if (!useNative(OP, msDeformAttnRegistration, options)) {
    return tf.tidy(() => msDeformAttnPlain(value, spatialShapes, samplingLocations, attentionWeights));
  }
  const inputs = { value, samplingLocations, attentionWeights };
  const attrs = { spatialShapes: spatialShapes.map(([h, w]) => [h, w]) };
  return tf.engine().runKernel(KERNEL, inputs, attrs) as tf.Tensor3D;
}

function checkArguments(
  value: tf.Tensor,
  spatialShapes: SpatialShapes,
  samplingLocations: tf.Tensor,
  attentionWeights: tf.Tensor,
): void {
  checkTensor(OP, 'value', value, 'float32', '[N, S, M, D]', [null, null, null, null]);
  const [n, length, m] = value.shape as [number, number, number];
  const levels = spatialShapes.length;
  let sum = 0;
  spatialShapes.forEach(([h, w], level) => {
    if (!(Number.isInteger(h) && Number.isInteger(w) && h >= 1 && w >= 1)) {
      throw argumentError(
        OP,
        'whole (H, W) of at least 1',
        `level ${level} of spatialShapes`,
        `(${h}, ${w})`,
      );
    }
    sum += h * w;
  });
  if (sum !== length) {
    const received = `${sum} from ${spatialShapes.map(([h, w]) => `${h}x${w}`).join(', ') || 'no level'}`;
    throw argumentError(OP, `a sum of H * W = ${length}, the length of value,`, 'spatialShapes', received);
  }
  const q = samplingLocations.shape[1] ?? null;
  const p = samplingLocations.shape[4] ?? null;
  checkTensor(OP, 'samplingLocations', samplingLocations, 'float32', '[N, Q, M, L, P, 2]', [
    n,
    q === 0 ? null : q,
    m,
    levels,
    p === 0 ? null : p,
    2,
  ]);
  checkTensor(OP, 'attentionWeights', attentionWeights, 'float32', '[N, Q, M, L, P]', [n, q, m, levels, p]);
}

/** The first four inputs of both TensorFlow ops, in order; `spatialShapes` travels as an attribute of the kernel. */
function runNative(
  op: string,
  before: tf.TensorInfo[],
  inputs: tf.NamedTensorInfoMap,
  attrs: tf.NamedAttrMap | undefined,
  outputs: number,
): tf.TensorInfo[] {
  const { value, samplingLocations, attentionWeights } = inputs;
  const shapes = tf.tensor2d(attrs!.spatialShapes as number[][], undefined, 'int32');
  const tensors = [...before, value, shapes, samplingLocations, attentionWeights];
  const result = runOp(op, [opAttr.type('T', 'float32')], tensors as tf.Tensor[], outputs);
  shapes.dispose();
  return result;
}

/** Rows of the registration list, see index.ts. */
export const msDeformAttnRegistration: OpRegistration = {
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs, attrs }) => runNative(KERNEL, [], inputs, attrs, 1)[0]!,
    },
    {
      kernelName: GRAD_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs, attrs }) => runNative(GRAD_KERNEL, [inputs.dy!], inputs, attrs, 3),
    },
  ],
  gradients: [
    {
      kernelName: KERNEL,
      inputsToSave: ['value', 'samplingLocations', 'attentionWeights'],
      gradFunc: (dy, saved, attrs) => {
        const [value, samplingLocations, attentionWeights] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        const inputs = { dy: dy as tf.Tensor, value, samplingLocations, attentionWeights };
        // Outside the functions below: each of them runs in a scope of its own, which would free the other two.
        const grads = tf.engine().runKernel(GRAD_KERNEL, inputs, attrs) as tf.Tensor[];
        return {
          value: () => grads[0]!,
          samplingLocations: () => grads[1]!,
          attentionWeights: () => grads[2]!,
        };
      },
    },
  ],
};
