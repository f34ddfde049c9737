// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'layerNorm';
const KERNEL = 'TfgeoLayerNorm';
const GRAD_KERNEL = 'TfgeoLayerNormGrad';

/**
 * Layer normalisation over the last axis, `(x - mean) / sqrt(variance + eps) * weight + bias`, as one operation.
 * Source: Ba, Kiros and Hinton 2016, "Layer Normalization".
 *
 * @param x `[..., C]` @param weight `[C]` @param bias `[C]` @param eps added to the (biased) variance
 * @returns `[..., C]`
 */
export function layerNorm(
  x: tf.Tensor,
  weight: tf.Tensor,
  bias: tf.Tensor,
  eps = 1e-5,
  options: OpOptions = {},
): tf.Tensor {
  const channels = x.shape[x.rank - 1];
  if (!channels) throw argumentError(OP, 'shape [..., C]', 'x', `[${x.shape.join(', ')}]`);
  checkTensor(OP, 'weight', weight, 'float32', '[C]', [channels]);
  checkTensor(OP, 'bias', bias, 'float32', '[C]', [channels]);
  if (!useNative(OP, layerNormRegistration, options)) return layerNormPlain(x, weight, bias, eps);
  const inputs = { x, weight, bias };
  return tf.engine().runKernel(KERNEL, inputs, { eps }) as tf.Tensor;
}

/** The meaning of the native op, in TensorFlow.js operations. */
export function layerNormPlain(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, eps: number): tf.Tensor {
  return tf.tidy(() => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, eps))), weight), bias);
  });
}

/** Rows of the registration list, see index.ts. */
export const layerNormRegistration: OpRegistration = {
  cpuOnly: true,
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs: { x, weight, bias }, attrs }) =>
        runOp(KERNEL, [opAttr.float('eps', attrs!.eps as number)], [x, weight, bias] as tf.Tensor[], 1)[0]!,
    },
    {
      kernelName: GRAD_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs: { dy, x, weight }, attrs }) =>
        runOp(GRAD_KERNEL, [opAttr.float('eps', attrs!.eps as number)], [dy, x, weight] as tf.Tensor[], 3),
    },
  ],
  gradients: [
    {
      kernelName: KERNEL,
      inputsToSave: ['x', 'weight'],
      gradFunc: (dy, saved, attrs) => {
        const inputs = { dy: dy as tf.Tensor, x: saved[0]!, weight: saved[1]! };
        // Outside the functions below: each of them runs in a scope of its own, which would free the other two.
        const grads = tf.engine().runKernel(GRAD_KERNEL, inputs, attrs) as tf.Tensor[];
        return { x: () => grads[0]!, weight: () => grads[1]!, bias: () => grads[2]! };
      },
    },
  ],
};
