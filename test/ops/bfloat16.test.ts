// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../../src/engine/index.js';
import { msDeformAttn, msDeformAttnRaw, roundToBfloat16 } from '../../src/ops/index.js';
import { Random } from '../../src/random.js';
import { relativeError, valuesOf } from '../cases/close.js';
import {
  length,
  MS_DEFORM_ATTN_CASES,
  msDeformAttnArrays,
  msDeformAttnRawArrays,
  msDeformAttnTensors,
} from '../cases/ms_deform_attn.js';
import { ROUTES, take } from './engines.js';

/** Half the distance of neighbours, relative to the larger one. */
const ROUNDING = 2 ** -8;

/** The smaller cases: the point is the last digit of each number. */
const CASES = MS_DEFORM_ATTN_CASES.filter(
  ({ batch, queries, heads, levels, points }) => batch * queries * heads * levels.length * points < 500,
);

/** To nearest, ties to even, by the bits. */
function rounded(values: ArrayLike<number>): Float32Array {
  const result = Float32Array.from(values);
  const bits = new Uint32Array(result.buffer);
  bits.forEach((word, i) => {
    if (Number.isFinite(result[i]!)) bits[i] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  });
  return result;
}

/** Every bfloat16 between two powers of two, what lies a little beside it, and all middles; of all sizes. */
function samples(): Float32Array {
  const random = new Random(3);
  const corners = Array.from({ length: 256 }, (_, i) => 1 + i / 256);
  const all = corners.flatMap((x) => [x, x + 2 ** -23, x - 2 ** -23, x + 1 / 512, x + 1 / 512 + 2 ** -23]);
  const scaled = [-120, -3, 0, 7, 100].flatMap((power) => all.map((x) => x * 2 ** power));
  const others = Array.from({ length: 2000 }, () => random.normal() * 10 ** (8 * random.uniform() - 4));
  return Float32Array.from([...scaled, ...scaled.map((x) => -x), ...others, 0, Infinity, -Infinity, NaN]);
}

describe.each(ROUTES)('bfloat16 on $engine, $path', (route) => {
  beforeAll(() => take(route));

  it('is rounded to in plain operations, as the bits are; gradients too', () => {
    const values = samples();
    const x = tf.tensor1d(values);
    expect(relativeError(valuesOf(roundToBfloat16(x)), rounded(values))).toBe(0);
    const gradient = tf.grad((t: tf.Tensor) => roundToBfloat16(t).mul(1.2345))(x);
    expect(new Set(valuesOf(gradient))).toEqual(new Set(rounded([1.2345])));
  });

  it.each(CASES)('changes results by rounding alone: $name', (entry) => {
    tf.tidy(() => {
      const { value, locations, weights, upstream } = msDeformAttnTensors(entry, msDeformAttnArrays(entry));
      const results = (['bfloat16', 'float32'] as const).map((values) => {
        // Values and what comes back are such numbers already: what differs is the last rounding.
        const [v, u] = [value, upstream].map((tensor) => tf.tensor(rounded(valuesOf(tensor)), tensor.shape));
        const op = (...[a, b, c]: tf.Tensor[]) =>
          msDeformAttn(a as tf.Tensor4D, entry.levels, b!, c as tf.Tensor5D, { path: route.path, values });
        const inputs = [v!, locations, weights];
        return [op(...inputs), ...tf.grads((...args) => tf.mul(op(...args), u!))(inputs)].map(valuesOf);
      });
      const [got, wanted] = results as [Float32Array[], Float32Array[]];
      for (const i of [0, 1]) {
        expect(relativeError(rounded(got[i]!), got[i]!)).toBe(0);
        const apart = got[i]!.map((x, k) => Math.abs(x - wanted[i]![k]!) / (Math.abs(wanted[i]![k]!) + 1e-3));
        expect(Math.max(...apart)).toBeLessThan(1.01 * ROUNDING);
      }
      // Samples stay in float32.
      for (const i of [2, 3]) expect(relativeError(got[i]!, wanted[i]!)).toBeLessThan(1e-5);
    });
  });

  it('rounds the values of the raw form likewise', () => {
    const entry = MS_DEFORM_ATTN_CASES[6]!;
    const { batch, queries, heads, dim, levels, points } = entry;
    const arrays = msDeformAttnRawArrays(entry, 4);
    const run = (values: 'float32' | 'bfloat16', value: Float32Array) =>
      tf.tidy(() =>
        valuesOf(
          msDeformAttnRaw(
            tf.tensor4d(value, [batch, length(levels), heads, dim]),
            levels,
            tf.tensor(arrays.reference, [batch, queries, levels.length, 4]),
            tf.tensor(arrays.offsets, [batch, queries, heads, levels.length, points, 2]),
            tf.tensor4d(arrays.logits, [batch, queries, heads, levels.length * points]),
            { path: route.path, values },
          ),
        ),
      );
    const got = run('bfloat16', arrays.value);
    expect(relativeError(rounded(got), got)).toBe(0);
    expect(relativeError(got, run('float32', rounded(arrays.value)))).toBeLessThan(ROUNDING);
    expect(relativeError(got, run('float32', arrays.value))).toBeGreaterThan(1e-4);
  });
});

it('rounds as TensorFlow does', async () => {
  await take(ROUTES[0]!);
  const x = tf.tensor1d(samples());
  // Back in float32 by `runOp` itself.
  const [there] = runOp('Identity', [opAttr.type('T', 'bfloat16')], [{ tensor: x, as: 'bfloat16' }], 1);
  expect(relativeError(valuesOf(roundToBfloat16(x)), valuesOf(there!))).toBe(0);
});
