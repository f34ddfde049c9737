// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/**
 * Runs `f` without recording it for gradients: what it returns is a constant to whatever uses it
 * (PyTorch's `no_grad` and `detach` in one).
 *
 * TensorFlow.js has no such operation. It records kernels only while no kernel runs, so this counts as one; a custom
 * gradient of zeros would not do, because index-valued results (top-k) cannot carry gradients at all.
 */
export function noGrad<T extends tf.TensorContainer>(f: () => T): T {
  const { state } = tf.engine();
  state.kernelDepth++;
  try {
    return f();
  } finally {
    state.kernelDepth--;
  }
}

/** `x` as a constant to the gradient. (`clone` would be recorded even here: the engine adds its tape entry by hand.) */
export function detach<T extends tf.Tensor>(x: T): T {
  return noGrad(() => tf.reshape(x, x.shape) as T);
}
