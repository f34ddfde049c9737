// SPDX-License-Identifier: Apache-2.0
import { beforeAll, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { ACTIVATION_NAMES, activation } from '../../../src/models/layers/activations.js';

beforeAll(async () => {
  await ready();
});

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const tanhForm = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** The normal distribution, by Simpson's rule. */
function normal(x: number): number {
  const [from, steps] = [-12, 4000];
  const width = (x - from) / steps;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(from) + density(x);
  for (let i = 1; i < steps; i++) sum += (i % 2 === 1 ? 4 : 2) * density(from + i * width);
  return (sum * width) / 3;
}

const MEANINGS: Record<(typeof ACTIVATION_NAMES)[number], (x: number) => number> = {
  gelu: (x) => x * normal(x),
  gelu_fast: tanhForm,
  gelu_new: tanhForm,
  gelu_pytorch_tanh: tanhForm,
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(0, x),
  silu: (x) => x * sigmoid(x),
  swish: (x) => x * sigmoid(x),
  tanh: Math.tanh,
};

it.each(ACTIVATION_NAMES)('%s: values and slopes', (name) => {
  const at = [-4, -1.5, -0.3, 0.2, 1, 3];
  const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => activation('test', name)(x))(tf.tensor1d(at));
  const [values, slopes] = [value.dataSync(), grad.dataSync()];
  const f = MEANINGS[name];
  at.forEach((x, i) => {
    expect(values[i]).toBeCloseTo(f(x), 5);
    expect(slopes[i]).toBeCloseTo((f(x + 1e-4) - f(x - 1e-4)) / 2e-4, 4);
  });
});

it('refuses another name, with those it knows', () => {
  expect(() => activation('SwinBlock', 'glu')).toThrow(
    "[SwinBlock] expected one of gelu, gelu_fast, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, silu, swish, tanh for hidden_act but received 'glu'",
  );
});
