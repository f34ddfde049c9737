// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { runOp } from '../engine/index.js';
import { argumentError } from './check.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'gelu';
const KERNEL = 'TfgeoGelu';
const GRAD_KERNEL = 'TfgeoGeluGrad';

/**
 * Exact GELU, `x * Phi(x)` with the normal distribution Phi, as one operation.
 * Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)".
 */
export function gelu(x: tf.Tensor, options: OpOptions = {}): tf.Tensor {
  if (x.dtype !== 'float32') throw argumentError(OP, 'type float32', 'x', x.dtype);
  if (!useNative(OP, geluRegistration, options)) return geluPlain(x);
  return tf.engine().runKernel(KERNEL, { x }) as tf.Tensor;
}

/** The meaning of the native op, in TensorFlow.js operations. */
export function geluPlain(x: tf.Tensor): tf.Tensor {
  return tf.tidy(() => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)));
}

/** Rows of the registration list, see index.ts. */
export const geluRegistration: OpRegistration = {
  cpuOnly: true,
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs }) => runOp(KERNEL, [], [inputs.x] as tf.Tensor[], 1)[0]!,
    },
    {
      kernelName: GRAD_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs }) => runOp(GRAD_KERNEL, [], [inputs.dy, inputs.x] as tf.Tensor[], 1)[0]!,
    },
  ],
  gradients: [
    {
      kernelName: KERNEL,
      inputsToSave: ['x'],
      gradFunc: (dy, saved) => {
        const inputs = { dy: dy as tf.Tensor, x: saved[0]! };
        return { x: () => tf.engine().runKernel(GRAD_KERNEL, inputs) as tf.Tensor };
      },
    },
  ],
};
