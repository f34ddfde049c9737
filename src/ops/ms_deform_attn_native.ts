// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type OpInput, opAttr, runOp } from '../engine/index.js';
import type { MsDeformAttnOptions } from './ms_deform_attn_check.js';
import type { SpatialShapes } from './ms_deform_attn_plain.js';
import { NATIVE_BACKEND, type OpRegistration } from './registry.js';

/** What the kernels get besides tensors. */
interface Attributes {
  spatialShapes: number[][];
  values: 'float32' | 'bfloat16';
}

/** The attributes of a kernel call, as TensorFlow.js passes them. */
export function msDeformAttnAttributes(
  spatialShapes: SpatialShapes,
  { values = 'float32' }: MsDeformAttnOptions,
): tf.NamedAttrMap {
  const attributes: Attributes = { spatialShapes: spatialShapes.map(([h, w]) => [h, w]), values };
  return attributes as unknown as tf.NamedAttrMap;
}

/**
 * Kernels and gradient of one form of deformable attention. Both TensorFlow ops take value, spatial shapes and the
 * samples, the gradient's after the output's gradient; it gives the gradients of value and samples.
 * @param samples names of the tensors after `value`, in the op's order
 */
export function msDeformAttnKernels(op: string, gradOp: string, samples: readonly string[]): OpRegistration {
  const names = ['value', ...samples];
  return {
    kernels: [
      {
        kernelName: op,
        backendName: NATIVE_BACKEND,
        kernelFunc: ({ inputs, attrs }) => run(op, [], inputs, samples, attrs!, 1)[0]!,
      },
      {
        kernelName: gradOp,
        backendName: NATIVE_BACKEND,
        kernelFunc: ({ inputs, attrs }) => run(gradOp, ['dy'], inputs, samples, attrs!, names.length),
      },
    ],
    gradients: [
      {
        kernelName: op,
        inputsToSave: names,
        gradFunc: (dy, saved, attrs) => {
          const inputs = Object.fromEntries(names.map((name, i) => [name, saved[i]!]));
          // Outside the functions below: each of them runs in a scope of its own, which would free the others.
          const grads = tf
            .engine()
            .runKernel(gradOp, { ...inputs, dy: dy as tf.Tensor }, attrs) as tf.Tensor[];
          return Object.fromEntries(names.map((name, i) => [name, () => grads[i]!]));
        },
      },
    ],
  };
}

function run(
  op: string,
  before: readonly string[],
  inputs: tf.NamedTensorInfoMap,
  samples: readonly string[],
  attrs: tf.NamedAttrMap,
  outputs: number,
): tf.Tensor[] {
  const { spatialShapes, values } = attrs as unknown as Attributes;
  const tensor = (name: string) => inputs[name] as tf.Tensor;
  const typed = (name: string): OpInput =>
    values === 'float32' ? tensor(name) : { tensor: tensor(name), as: values };
  const shapes = { shape: [spatialShapes.length, 2], int32: Int32Array.from(spatialShapes.flat()) };
  const all = [...before.map(typed), typed('value'), shapes, ...samples.map(tensor)];
  return runOp(op, [opAttr.type('T', values), opAttr.type('C', 'float32')], all, outputs);
}
