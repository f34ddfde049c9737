// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Random } from '../random.js';

/** How a parameter gets its first values; the schemes are PyTorch's, by PyTorch's names. */
export type InitSpec =
  | { kind: 'zeros' }
  | { kind: 'ones' }
  | { kind: 'constant'; value: number }
  | { kind: 'normal'; std: number }
  | { kind: 'truncatedNormal'; std: number }
  | { kind: 'uniform'; bound: number }
  /** U(-a, a), a = sqrt(6 / (fanIn + fanOut)). */
  | { kind: 'xavierUniform'; fanIn: number; fanOut: number }
  | { kind: 'values'; values: ArrayLike<number> };

let stream = new Random(0);

/** Restarts the stream that all initialisers draw from: the same seed and construction order give the same model. */
export function seedInitialisers(seed: number): void {
  stream = new Random(seed);
}

let empty = false;

/** Runs `build` with zeros in place of all first values, which takes no time: for what needs only shapes. */
export function withoutValues<T>(build: () => T): T {
  const before = empty;
  empty = true;
  try {
    return build();
  } finally {
    empty = before;
  }
}

/** A tensor of `shape` filled as `init` says. */
export function initialise(
  shape: number[],
  init: InitSpec,
  dtype: 'float32' | 'int32' = 'float32',
): tf.Tensor {
  if (empty) return tf.zeros(shape, dtype);
  const size = shape.reduce((product, n) => product * n, 1);
  const values = dtype === 'int32' ? new Int32Array(size) : new Float32Array(size);
  fill(values, init);
  return tf.tensor(values, shape, dtype);
}

function fill(values: Float32Array | Int32Array, init: InitSpec): void {
  switch (init.kind) {
    case 'zeros':
      return;
    case 'ones':
      values.fill(1);
      return;
    case 'constant':
      values.fill(init.value);
      return;
    case 'normal':
      draw(values, () => init.std * stream.normal());
      return;
    case 'truncatedNormal':
      draw(values, () => init.std * truncatedNormal());
      return;
    case 'uniform':
      draw(values, () => init.bound * (2 * stream.uniform() - 1));
      return;
    case 'xavierUniform': {
      const bound = Math.sqrt(6 / (init.fanIn + init.fanOut));
      draw(values, () => bound * (2 * stream.uniform() - 1));
      return;
    }
    case 'values':
      values.set(Array.from(init.values));
  }
}

function draw(values: Float32Array | Int32Array, next: () => number): void {
  for (let i = 0; i < values.length; i++) values[i] = next();
}

/** Standard normal, redrawn until it lies within two standard deviations. */
function truncatedNormal(): number {
  for (;;) {
    const value = stream.normal();
    if (Math.abs(value) <= 2) return value;
  }
}
