// SPDX-License-Identifier: Apache-2.0
// Gradients of the TensorFlow ops in float64, which TensorFlow.js does not have, against differences.
import { beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nativeBinding, opAttr, ready, TF_DTYPE } from '../../src/engine/index.js';
import { Random } from '../../src/random.js';
import {
  length,
  type MsDeformAttnCase,
  msDeformAttnArrays,
  msDeformAttnRawArrays,
} from '../cases/ms_deform_attn.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

interface Input {
  shape: number[];
  values: Float64Array;
}

/** Runs a TensorFlow op on float64 tensors; the spatial shapes come second, or third after an output's gradient. */
function run(op: string, inputs: readonly Input[], entry: MsDeformAttnCase, outputs: number): Float64Array[] {
  const binding = nativeBinding();
  const ids = inputs.map(({ shape, values }) => binding.createTensor(shape, TF_DTYPE.float64, values));
  const shapes = Int32Array.from(entry.levels.flat());
  ids.splice(
    outputs === 1 ? 1 : 2,
    0,
    binding.createTensor([entry.levels.length, 2], TF_DTYPE.int32, shapes),
  );
  const results = binding.executeOp(op, [opAttr.type('T', 'float64')], ids, outputs);
  const values = results.map(({ id }) => binding.tensorDataSync(id) as Float64Array);
  for (const id of [...ids, ...results.map(({ id }) => id)]) binding.deleteTensor(id);
  return values;
}

/** The op's inputs of a case, the output's gradient last. */
function inputsOf(entry: MsDeformAttnCase, form: 'located' | 2 | 4, seed: number): Input[] {
  const { batch, queries, heads, points, dim, levels } = entry;
  const count = levels.length;
  const wide = (values: Float32Array, ...shape: number[]): Input => ({
    shape,
    values: Float64Array.from(values),
  });
  const positions = [batch, queries, heads, count, points, 2];
  const ends = (value: Float32Array, upstream: Float32Array, samples: Input[]) => [
    wide(value, batch, length(levels), heads, dim),
    ...samples,
    wide(upstream, batch, queries, heads * dim),
  ];
  if (form === 'located') {
    const { value, locations, weights, upstream } = msDeformAttnArrays(entry, seed);
    return ends(value, upstream, [wide(locations, ...positions), wide(weights, ...positions.slice(0, -1))]);
  }
  const { value, reference, offsets, logits, upstream } = msDeformAttnRawArrays(entry, form, seed);
  return ends(value, upstream, [
    wide(reference, batch, queries, count, form),
    wide(offsets, ...positions),
    wide(logits, batch, queries, heads, count * points),
  ]);
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

it.each([
  ['TfgeoMsDeformAttn', 'located'],
  ['TfgeoMsDeformAttnRaw', 2],
  ['TfgeoMsDeformAttnRaw', 4],
] as const)('%s (%s) has the gradients that differences give, for any sizes', (op, form) => {
  const size = (max: number) => fc.integer({ min: 1, max });
  const cases = fc.record({
    name: fc.constant('random'),
    batch: size(3),
    queries: size(9),
    heads: size(5),
    points: size(4),
    dim: size(70),
    levels: fc.array(fc.tuple(size(7), size(7)), { minLength: 1, maxLength: 4 }),
    seed: size(1000),
  });
  const check = fc.property(cases, ({ seed, ...entry }) => {
    const inputs = inputsOf(entry, form, seed);
    const upstream = inputs.pop()!;
    const gradients = run(`${op}Grad`, [upstream, ...inputs], entry, inputs.length);
    const random = new Random(seed);
    inputs.forEach((input, k) => {
      // Samples keep 0.05 pixel away from whole ones, where the slope jumps; this never reaches them.
      const step = input.values.map(() => 1e-6 * (2 * random.uniform() - 1));
      const loss = (sign: number) => {
        const moved = inputs.map((other, i) =>
          i === k ? { ...other, values: other.values.map((x, j) => x + sign * step[j]!) } : other,
        );
        return dot(run(op, moved, entry, 1)[0]!, upstream.values);
      };
      const change = (loss(1) - loss(-1)) / 2;
      const scale = Math.sqrt(dot(gradients[k]!, gradients[k]!) * dot(step, step));
      expect(Math.abs(change - dot(gradients[k]!, step))).toBeLessThan(1e-6 * scale + 1e-14);
    });
  });
  fc.assert(check, { numRuns: 40, seed: 8 });
});
