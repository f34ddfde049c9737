// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { ready } from '../../src/engine/index.js';
import { msDeformAttn, type OpPath, registerOps, setDefaultOpPath } from '../../src/ops/index.js';
import { relativeError, valuesOf } from '../cases/close.js';
import {
  MS_DEFORM_ATTN_CASES,
  type MsDeformAttnArrays,
  type MsDeformAttnCase,
  msDeformAttnArrays,
  msDeformAttnTensors,
  naiveMsDeformAttn,
} from '../cases/ms_deform_attn.js';
import { ROUTES, take } from './engines.js';

const TOLERANCE = 5e-6;

/** Output and gradients of a case, as arrays. */
function run(entry: MsDeformAttnCase, arrays: MsDeformAttnArrays, path: OpPath) {
  return tf.tidy(() => {
    const { value, locations, weights, upstream } = msDeformAttnTensors(entry, arrays);
    const op = (v: tf.Tensor, l: tf.Tensor, w: tf.Tensor) =>
      msDeformAttn(v as tf.Tensor4D, entry.levels, l, w as tf.Tensor5D, { path });
    const [gradValue, gradLocations, gradWeights] = tf.grads((v, l, w) => tf.mul(op(v!, l!, w!), upstream))([
      value,
      locations,
      weights,
    ]);
    return {
      output: valuesOf(op(value, locations, weights)),
      gradValue: valuesOf(gradValue!),
      gradLocations: valuesOf(gradLocations!),
      gradWeights: valuesOf(gradWeights!),
    };
  });
}

describe.each(ROUTES)('msDeformAttn on $engine, $path', (route) => {
  beforeAll(() => take(route));

  it.each(MS_DEFORM_ATTN_CASES)('equals the definition: $name', (entry) => {
    const arrays = msDeformAttnArrays(entry);
    const got = run(entry, arrays, route.path);
    const wanted = naiveMsDeformAttn(entry, arrays);
    for (const key of ['output', 'gradValue', 'gradLocations', 'gradWeights'] as const) {
      expect({ key, fits: relativeError(got[key], wanted[key]) < TOLERANCE }).toEqual({ key, fits: true });
    }
  });

  it('has the gradients that differences give, for any sizes', () => {
    const size = (max: number) => fc.integer({ min: 1, max });
    const cases = fc.record({
      batch: size(3),
      queries: size(9),
      heads: size(5),
      points: size(4),
      dim: size(40),
      levels: fc.array(fc.tuple(size(7), size(7)), { minLength: 1, maxLength: 4 }),
      seed: size(1000),
    });
    fc.assert(
      fc.property(cases, ({ seed, ...sizes }) => {
        const entry = { name: 'random', ...sizes };
        const arrays = msDeformAttnArrays(entry, seed);
        const got = run(entry, arrays, route.path);
        const step = differences(entry, arrays, seed, route.path);
        expect(relativeError([dot(got.gradValue, step.value)], [step.byValue])).toBeLessThan(1e-3);
        expect(relativeError([dot(got.gradWeights, step.weights)], [step.byWeights])).toBeLessThan(1e-3);
        expect(relativeError([dot(got.gradLocations, step.locations)], [step.byLocations])).toBeLessThan(
          5e-3,
        );
      }),
      { numRuns: route.engine === 'cpu' ? 5 : 25, seed: 4 },
    );
  });

  it('keeps NaN to its query and head, and takes nothing from outside', () => {
    const entry = { ...MS_DEFORM_ATTN_CASES[3]!, batch: 1, queries: 5, heads: 2 };
    const arrays = msDeformAttnArrays({ ...entry, range: [0.1, 0.9] });
    const perQuery = 2 * 3 * 2;
    arrays.locations[0] = Number.NaN; // query 0, head 0
    arrays.weights[perQuery + 6] = Number.NaN; // query 1, head 1
    arrays.locations[2 * 2 * perQuery] = Number.POSITIVE_INFINITY;
    arrays.locations[2 * 3 * perQuery + 1] = -1e30;
    arrays.locations[2 * 4 * perQuery] = -7;
    arrays.weights[4 * perQuery] = Number.POSITIVE_INFINITY;
    const { output } = run(entry, arrays, route.path);
    const bad = [...output.keys()].filter((i) => !Number.isFinite(output[i]!));
    const head = (query: number, index: number) =>
      Array.from({ length: 16 }, (_, d) => (query * 2 + index) * 16 + d);
    expect(bad).toEqual([...head(0, 0), ...head(1, 1)]);
  });

  it('leaves no tensor behind', () => {
    const entry = MS_DEFORM_ATTN_CASES[3]!;
    const arrays = msDeformAttnArrays(entry);
    run(entry, arrays, route.path);
    const before = tf.memory().numTensors;
    run(entry, arrays, route.path);
    expect(tf.memory().numTensors).toBe(before);
  });
});

/** Changes of the loss for a step in each input, central, and the steps. Along x or y the op is linear within a pixel. */
function differences(entry: MsDeformAttnCase, arrays: MsDeformAttnArrays, seed: number, path: OpPath) {
  const noise = msDeformAttnArrays(entry, seed + 1);
  const loss = (changed: Partial<MsDeformAttnArrays>) =>
    dot(run(entry, { ...arrays, ...changed }, path).output, arrays.upstream);
  const along = (key: 'value' | 'weights' | 'locations', step: Float32Array) => {
    const moved = (sign: number) => arrays[key].map((v, i) => v + sign * step[i]!);
    return (loss({ [key]: moved(1) }) - loss({ [key]: moved(-1) })) / 2;
  };
  // 0.04 pixel at most, in x only: never across a whole pixel.
  const locations = arrays.locations.map((_, i) => {
    const level = Math.floor(i / (2 * entry.points)) % entry.levels.length;
    return i % 2 === 0 ? (noise.weights[i / 2]! * 0.04) / entry.levels[level]![1] : 0;
  });
  return {
    value: noise.value,
    weights: noise.weights,
    locations,
    byValue: along('value', noise.value),
    byWeights: along('weights', noise.weights),
    byLocations: along('locations', locations),
  };
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

describe('msDeformAttn refuses', () => {
  beforeAll(async () => {
    await ready();
  });

  const good = {
    value: [1, 6, 2, 3],
    levels: [[2, 3]] as [number, number][],
    locations: [1, 4, 2, 1, 2, 2],
    weights: [1, 4, 2, 1, 2],
    dtype: 'float32' as 'float32' | 'int32',
  };

  it.each<[string, Partial<typeof good>, RegExp]>([
    ['a value of rank 3', { value: [1, 6, 6] }, /shape \[N, S, M, D\].* for value.*\[1, 6, 6\]/],
    ['an empty batch', { value: [0, 6, 2, 3] }, /for value but received \[0, 6, 2, 3\]/],
    ['levels that do not add up', { levels: [[2, 2]] }, /a sum of H \* W = 6.*received 4 from 2x2/],
    ['no level', { levels: [] }, /received 0 from no level/],
    ['a negative level', { levels: [[-2, -3]] }, /level 0 of spatialShapes but received \(-2, -3\)/],
    ['locations of other levels', { locations: [1, 4, 2, 2, 2, 2] }, /for samplingLocations/],
    ['no queries', { locations: [1, 0, 2, 1, 2, 2] }, /for samplingLocations but received \[1, 0,/],
    ['weights of other queries', { weights: [1, 3, 2, 1, 2] }, /for attentionWeights/],
    ['int32 weights', { dtype: 'int32' }, /type float32 for attentionWeights/],
  ])('%s', (_, changed, message) => {
    const { value, levels, locations, weights, dtype } = { ...good, ...changed };
    const call = () =>
      msDeformAttn(
        tf.zeros<tf.Rank>(value as never) as tf.Tensor4D,
        levels,
        tf.zeros(locations),
        tf.zeros<tf.Rank>(weights as never, dtype) as tf.Tensor5D,
      );
    expect(call).toThrow(message);
    expect(call).toThrow(/^\[msDeformAttn\]/);
  });
});

describe('registration', () => {
  it('can be repeated', async () => {
    await ready({ engine: 'tensorflow' });
    registerOps();
    const kernel = tf.getKernel('TfgeoMsDeformAttn', 'tensorflow');
    registerOps();
    expect(tf.getKernel('TfgeoMsDeformAttn', 'tensorflow')).toBe(kernel);
    expect(tf.getGradient('TfgeoMsDeformAttn')).toBeDefined();
  });

  it('follows the default path, and refuses native code on other engines', async () => {
    const entry = MS_DEFORM_ATTN_CASES[0]!;
    const names = (path: OpPath) => {
      const before = setDefaultOpPath(path);
      const profile = tf.profile(() => {
        run(entry, msDeformAttnArrays(entry), 'auto');
      });
      setDefaultOpPath(before);
      return profile.then(({ kernelNames }) => kernelNames.includes('TfgeoMsDeformAttn'));
    };
    await ready({ engine: 'tensorflow' });
    expect(await names('auto')).toBe(true);
    expect(await names('plain')).toBe(false);
    await ready({ engine: 'cpu' });
    expect(() => run(entry, msDeformAttnArrays(entry), 'native')).toThrow(
      /for path 'native' but received engine cpu/,
    );
  });
});
