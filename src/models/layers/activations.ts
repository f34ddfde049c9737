// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { gelu } from './basic.js';
import { relu } from './fused.js';
import { silu } from './silu.js';

/** Activations by the names that Hugging Face's `config.json` has for them (`hidden_act`). */
const ACTIVATIONS = {
  gelu,
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: (x: tf.Tensor) => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))),
  relu,
  silu: (x: tf.Tensor) => silu(x),
  swish: (x: tf.Tensor) => silu(x),
  tanh: (x: tf.Tensor) => tf.tanh(x),
} as const satisfies Record<string, (x: tf.Tensor) => tf.Tensor>;

export type ActivationName = keyof typeof ACTIVATIONS;

/** Names that a configuration may have. */
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as ActivationName[];

/** @throws RangeError for a name that is not in the table */
export function activation(layer: string, name: string): (x: tf.Tensor) => tf.Tensor {
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name as ActivationName];
  throw new RangeError(
    `[${layer}] expected one of ${ACTIVATION_NAMES.join(', ')} for hidden_act but received '${name}'`,
  );
}

/** The normal distribution by a hyperbolic tangent (Hendrycks and Gimpel 2016, section 2). */
function geluTanh(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}
