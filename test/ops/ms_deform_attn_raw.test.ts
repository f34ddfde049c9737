// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { compile, ready } from '../../src/engine/index.js';
import {
  locateSamples,
  msDeformAttn,
  msDeformAttnRaw,
  type OpPath,
  weighSamples,
} from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import {
  length,
  MS_DEFORM_ATTN_CASES,
  type MsDeformAttnCase,
  type MsDeformAttnRawArrays,
  msDeformAttnRawArrays,
  naiveMsDeformAttnRaw,
} from '../cases/ms_deform_attn.js';
import { ROUTES, take } from './engines.js';

const TOLERANCE = 1e-5;

type Form = (value: tf.Tensor4D, reference: tf.Tensor, offsets: tf.Tensor, logits: tf.Tensor4D) => tf.Tensor;

/** Output and gradients of a case, as arrays; `form` is the op unless another is given. */
function run(
  entry: MsDeformAttnCase,
  coordinates: 2 | 4,
  arrays: MsDeformAttnRawArrays,
  path: OpPath,
  form: Form = (v, r, o, l) => msDeformAttnRaw(v, entry.levels, r, o, l, { path }),
) {
  return tf.tidy(() => {
    const { batch, queries, heads, points, dim, levels } = entry;
    const count = levels.length;
    const inputs = [
      tf.tensor(arrays.value, [batch, length(levels), heads, dim]),
      tf.tensor(arrays.reference, [batch, queries, count, coordinates]),
      tf.tensor(arrays.offsets, [batch, queries, heads, count, points, 2]),
      tf.tensor(arrays.logits, [batch, queries, heads, count * points]),
    ];
    const upstream = tf.tensor(arrays.upstream, [batch, queries, heads * dim]);
    const op = (...args: tf.Tensor[]) => form(...(args as Parameters<Form>));
    const gradients = tf.grads((...args) => tf.mul(op(...args), upstream))(inputs);
    const arraysOf = gradients.map(valuesOf) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const [gradValue, gradReference, gradOffsets, gradLogits] = arraysOf;
    return { output: valuesOf(op(...inputs)), gradValue, gradReference, gradOffsets, gradLogits };
  });
}

type Results = ReturnType<typeof run>;
const KEYS = ['output', 'gradValue', 'gradReference', 'gradOffsets', 'gradLogits'] as const;

function expectClose(got: Results, wanted: { [K in keyof Results]: ArrayLike<number> }): void {
  for (const key of KEYS) {
    const fits = relativeError(got[key], wanted[key]) < TOLERANCE;
    expect({ key, fits }).toEqual({ key, fits: true });
  }
}

describe.each(ROUTES)('msDeformAttnRaw on $engine, $path', (route) => {
  beforeAll(() => take(route));

  describe.each([2, 4] as const)('around references of %d numbers', (coordinates) => {
    it.each(MS_DEFORM_ATTN_CASES)('equals the definition: $name', (entry) => {
      const arrays = msDeformAttnRawArrays(entry, coordinates);
      expectClose(
        run(entry, coordinates, arrays, route.path),
        naiveMsDeformAttnRaw(entry, coordinates, arrays),
      );
    });
  });

  it('equals softmax, locations and msDeformAttn one after the other, for any sizes', () => {
    const size = (max: number) => fc.integer({ min: 1, max });
    const cases = fc.record({
      batch: size(3),
      queries: size(9),
      heads: size(5),
      points: size(4),
      dim: size(40),
      levels: fc.array(fc.tuple(size(7), size(7)), { minLength: 1, maxLength: 4 }),
      seed: size(1000),
      coordinates: fc.constantFrom(2 as const, 4 as const),
    });
    fc.assert(
      fc.property(cases, ({ seed, coordinates, ...sizes }) => {
        const entry = { name: 'random', ...sizes };
        const arrays = msDeformAttnRawArrays(entry, coordinates, seed);
        const composed: Form = (value, reference, offsets, logits) => {
          const locations = locateSamples(reference, offsets, entry.levels);
          const weights = weighSamples(logits, entry.levels.length);
          return msDeformAttn(value, entry.levels, locations, weights, { path: route.path });
        };
        const got = run(entry, coordinates, arrays, route.path);
        expectClose(got, run(entry, coordinates, arrays, route.path, composed));
      }),
      { numRuns: route.engine === 'cpu' ? 5 : 25, seed: 6 },
    );
  });

  it('keeps NaN to its query and head, and takes nothing from outside', () => {
    const entry = { ...MS_DEFORM_ATTN_CASES[3]!, batch: 1, queries: 7, heads: 2 };
    const arrays = msDeformAttnRawArrays({ ...entry, range: [0.1, 0.9] }, 2);
    const perQuery = 2 * 3 * 2;
    arrays.offsets[0] = Number.NaN; // query 0, head 0
    arrays.logits[perQuery + 6] = Number.NaN; // query 1, head 1
    arrays.reference[2 * 6] = Number.NaN; // query 2, both heads
    arrays.offsets[2 * 3 * perQuery] = Number.POSITIVE_INFINITY;
    arrays.offsets[2 * 4 * perQuery] = -1e30;
    arrays.logits[5 * perQuery] = Number.POSITIVE_INFINITY; // query 5, head 0: infinity over infinity
    arrays.logits[6 * perQuery] = Number.NEGATIVE_INFINITY; // a weight of 0
    const { output } = run(entry, 2, arrays, route.path);
    const bad = [...output.keys()].filter((i) => !Number.isFinite(output[i]!));
    const head = (query: number, index: number) =>
      Array.from({ length: 16 }, (_, d) => (query * 2 + index) * 16 + d);
    expect(bad).toEqual([head(0, 0), head(1, 1), head(2, 0), head(2, 1), head(5, 0)].flat());
  });

  it('leaves no tensor behind', () => {
    const entry = MS_DEFORM_ATTN_CASES[3]!;
    const arrays = msDeformAttnRawArrays(entry, 4);
    run(entry, 4, arrays, route.path);
    const before = tf.memory().numTensors;
    run(entry, 4, arrays, route.path);
    expect(tf.memory().numTensors).toBe(before);
  });
});

it.each(['float32', 'bfloat16'] as const)(
  'gives the same in a compiled function, values in %s',
  async (values) => {
    await ready({ engine: 'tensorflow' });
    const levels: [number, number][] = [
      [4, 6],
      [2, 3],
    ];
    const inputs = [
      tf.randomNormal([2, 30, 4, 8], 0, 1, 'float32', 1),
      tf.randomUniform([2, 5, 2, 4], 0.2, 0.8, 'float32', 2),
      tf.randomNormal([2, 5, 4, 2, 3, 2], 0, 1, 'float32', 3),
      tf.randomNormal([2, 5, 4, 6], 0, 1, 'float32', 4),
    ];
    const op = (...[v, r, o, l]: tf.Tensor[]) =>
      msDeformAttnRaw(v as tf.Tensor4D, levels, r!, o!, l as tf.Tensor4D, { values });
    const eager = (...args: tf.Tensor[]) => [op(...args), ...tf.grads((...x) => tf.square(op(...x)))(args)];
    const compiled = compile(eager);
    const [wanted, ...got] = [eager, compiled, compiled].map((f) => f(...inputs).map(valuesOf));
    expect(compiled.compiled).toBe(true);
    expect(got).toEqual([wanted, wanted]);
  },
);

describe('msDeformAttnRaw refuses', () => {
  beforeAll(async () => {
    await ready();
  });

  const good = {
    value: [1, 6, 2, 3],
    levels: [[2, 3]] as [number, number][],
    reference: [1, 4, 1, 2],
    offsets: [1, 4, 2, 1, 2, 2],
    logits: [1, 4, 2, 2],
    values: 'float32' as 'float32' | 'bfloat16',
  };

  it.each<[string, Partial<typeof good>, RegExp]>([
    ['levels that do not add up', { levels: [[2, 2]] }, /a sum of H \* W = 6.*received 4 from 2x2/],
    ['offsets of other levels', { offsets: [1, 4, 2, 2, 2, 2] }, /for samplingOffsets/],
    ['no points', { offsets: [1, 4, 2, 1, 0, 2] }, /for samplingOffsets but received \[1, 4, 2, 1, 0, 2\]/],
    ['logits split by level', { logits: [1, 4, 2, 1, 2] }, /\[N, Q, M, L \* P\].* for attentionLogits/],
    ['reference points of 3 numbers', { reference: [1, 4, 1, 3] }, /\[N, Q, L, 2 or 4\] for referencePoints/],
    [
      'reference points of other queries',
      { reference: [1, 5, 1, 4] },
      /for referencePoints but received \[1, 5,/,
    ],
    [
      'an unknown type of values',
      { values: 'half' as 'float32' },
      /'float32' or 'bfloat16' for option 'values'/,
    ],
  ])('%s', (_, changed, message) => {
    const { value, levels, reference, offsets, logits, values } = { ...good, ...changed };
    const call = () =>
      msDeformAttnRaw(
        tf.zeros<tf.Rank>(value as never) as tf.Tensor4D,
        levels,
        tf.zeros(reference),
        tf.zeros(offsets),
        tf.zeros<tf.Rank>(logits as never) as tf.Tensor4D,
        { values },
      );
    expect(call).toThrow(message);
    expect(call).toThrow(/^\[msDeformAttnRaw\]/);
  });
});

it('gives a lone sample the weight 1, whatever its logit, and its logit no gradient at all', () => {
  const logits = tf.randomNormal([2, 50, 4, 1], 0, 5, 'float32', 1) as tf.Tensor4D;
  const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => {
    const weights = weighSamples(x as tf.Tensor4D, 1);
    return tf.mul(weights, tf.randomNormal(weights.shape, 0, 100, 'float32', 2));
  })(logits);
  expect(value.dtype).toBe('float32');
  expect(new Set(weighSamples(logits, 1).dataSync())).toEqual(new Set([1]));
  expect(grad.abs().max().dataSync()[0]).toBe(0);
});
