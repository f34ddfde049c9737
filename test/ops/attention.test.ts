// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../src/engine/index.js';
import { type AttentionLayout, attention } from '../../src/ops/index.js';
import { ATTENTION_CASES, type AttentionCase } from '../cases/attention.js';
import { relativeError, valuesOf } from '../cases/close.js';
import { ROUTES, take } from './engines.js';

/** Tensors of a case: those of its layout, bias, mask, and an upstream gradient. */
function inputsOf({ layout, batch, heads, queries, keys, dim, bias, mask }: AttentionCase) {
  const channels = heads * dim;
  const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
  const tensors = layout.split(',').map((part, i) => {
    const length = part.includes('q') ? queries : keys;
    return random([batch, length, part.length * channels], i + 1);
  });
  return {
    tensors,
    bias: bias ? random(bias, 7) : null,
    // Some keys are hidden.
    mask: mask ? tf.where(tf.greater(random(mask, 8), 1), tf.fill(mask, -1e9), random(mask, 9)) : null,
    upstream: random([batch, queries, channels], 10),
  };
}

/** The definition in double precision: output, and gradients of tensors and bias. */
function naive(entry: AttentionCase, { tensors, bias, mask, upstream }: ReturnType<typeof inputsOf>) {
  const { layout, batch, heads, queries, keys, dim } = entry;
  const channels = heads * dim;
  const parts = layout.split(',');
  const values = tensors.map((tensor) => Float64Array.from(valuesOf(tensor)));
  const grads = values.map((list) => new Float64Array(list.length));
  /** Where channel d of head h of a token of queries, keys or values lies. */
  const place = (role: string, b: number, t: number, h: number, d: number) => {
    const tensor = parts.findIndex((part) => part.includes(role));
    const part = parts[tensor]!;
    const row = (b * (role === 'q' ? queries : keys) + t) * part.length + part.indexOf(role);
    return [tensor, row * channels + h * dim + d] as const;
  };
  const read = (role: string, ...at: [number, number, number, number]) => {
    const [tensor, i] = place(role, ...at);
    return values[tensor]![i]!;
  };
  const add = (value: number, role: string, ...at: [number, number, number, number]) => {
    const [tensor, i] = place(role, ...at);
    grads[tensor]![i]! += value;
  };
  const [biases, masks] = [bias, mask].map((term) => (term ? valuesOf(term) : null));
  const gradBias = new Float64Array(biases?.length ?? 0);
  const biasAt = (h: number, q: number, k: number) => {
    const [hs, qs] = bias!.shape as [number, number];
    return ((hs > 1 ? h : 0) * qs + (qs > 1 ? q : 0)) * keys + k;
  };
  const maskAt = (b: number, h: number, q: number, k: number) => {
    const [ss, hs, qs] = mask!.shape as [number, number, number];
    return (((b % ss) * hs + (hs > 1 ? h : 0)) * qs + (qs > 1 ? q : 0)) * keys + k;
  };
  const scale = 1 / Math.sqrt(dim);
  const up = valuesOf(upstream);
  const output = new Float64Array(batch * queries * channels);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let q = 0; q < queries; q++) {
        const at = (b * queries + q) * channels + h * dim;
        const scores = Array.from({ length: keys }, (_, k) => {
          let sum = 0;
          for (let d = 0; d < dim; d++) sum += read('q', b, q, h, d) * read('k', b, k, h, d);
          return sum * scale + (biases?.[biasAt(h, q, k)] ?? 0) + (masks?.[maskAt(b, h, q, k)] ?? 0);
        });
        const largest = Math.max(...scores);
        const total = scores.reduce((sum, s) => sum + Math.exp(s - largest), 0);
        const weights = scores.map((s) => Math.exp(s - largest) / total);
        const slopes = weights.map((w, k) => {
          let slope = 0;
          for (let d = 0; d < dim; d++) {
            const v = read('v', b, k, h, d);
            output[at + d]! += w * v;
            slope += v * up[at + d]!;
            add(w * up[at + d]!, 'v', b, k, h, d);
          }
          return slope;
        });
        const mean = weights.reduce((sum, w, k) => sum + w * slopes[k]!, 0);
        weights.forEach((w, k) => {
          const slope = w * (slopes[k]! - mean);
          if (bias) gradBias[biasAt(h, q, k)]! += slope;
          for (let d = 0; d < dim; d++) {
            add(slope * scale * read('k', b, k, h, d), 'q', b, q, h, d);
            add(slope * scale * read('q', b, q, h, d), 'k', b, k, h, d);
          }
        });
      }
    }
  }
  return { output, grads: bias ? [...grads, gradBias] : grads };
}

describe.each(ROUTES)('attention on $engine, $path', (route) => {
  beforeAll(() => take(route));

  it.each(ATTENTION_CASES)('equals the definition: $name', (entry) => {
    tf.tidy(() => {
      const inputs = inputsOf(entry);
      const { tensors, bias, mask, upstream } = inputs;
      const run = (list: tf.Tensor[], $bias: tf.Tensor | null) =>
        attention(entry.layout, list, entry.heads, { path: route.path, bias: $bias, mask });
      const wanted = naive(entry, inputs);
      const close = (got: tf.Tensor, expected: Float64Array) =>
        expect(relativeError(valuesOf(got), expected)).toBeLessThan(5e-6);
      close(run(tensors, bias), wanted.output);
      const count = tensors.length;
      const grads = tf.grads((...all: tf.Tensor[]) =>
        tf.mul(run(all.slice(0, count), all[count] ?? null), upstream),
      )(bias ? [...tensors, bias] : tensors);
      grads.forEach((gradient, i) => {
        close(gradient, wanted.grads[i]!);
      });
    });
  });

  it('gives numbers where every key is hidden', () => {
    tf.tidy(() => {
      const x = tf.randomNormal([1, 3, 8]);
      const mask = tf.fill([1, 1, 1, 3], -1e9);
      const y = attention('q,k,v', [x, x, x], 2, { mask, path: route.path });
      expect([...valuesOf(y)].every(Number.isFinite)).toBe(true);
    });
  });

  it('shows NaN of a query in that query only', () => {
    tf.tidy(() => {
      const q = tf.tensor3d([Number.NaN, 1, 1, 1], [1, 2, 2]);
      const kv = tf.ones([1, 3, 4]);
      const y = attention('q,kv', [q, kv], 1, { path: route.path });
      expect([...valuesOf(y)].map(Number.isNaN)).toEqual([true, true, false, false]);
    });
  });

  it('leaves nothing behind', () => {
    const x = tf.ones([2, 5, 12]);
    const before = tf.memory().numTensors;
    if (route.path === 'native') attention('qkv', [x], 2, { path: route.path }).dispose();
    else tf.tidy(() => attention('qkv', [x], 2, { path: route.path })).dispose();
    tf.tidy(() => tf.grad((y) => attention('qkv', [y], 2, { path: route.path }))(x)).dispose();
    expect(tf.memory().numTensors).toBe(before);
    x.dispose();
  });

  const zeros = (...shape: number[]) => tf.zeros(shape);
  it.each<[string, AttentionLayout, number[][], number, RegExp]>([
    ['too few tensors', 'q,kv', [[1, 2, 4]], 1, /2 tensors for layout q,kv but received 1/],
    ['channels that heads do not divide', 'qkv', [[1, 2, 12]], 3, /multiple of 3 heads/],
    [
      'values of another width',
      'qk,v',
      [
        [1, 2, 8],
        [1, 2, 3],
      ],
      2,
      /for v.*\[1, 2, 3\]/,
    ],
    [
      'keys of another batch',
      'q,k,v',
      [
        [2, 2, 4],
        [1, 2, 4],
        [2, 2, 4],
      ],
      2,
      /for k.*\[1, 2, 4\]/,
    ],
  ])('refuses %s', (_, layout, shapes, heads, message) => {
    const call = () =>
      attention(
        layout,
        shapes.map((shape) => zeros(...shape)),
        heads,
        { path: route.path },
      );
    expect(() => tf.tidy(call)).toThrow(message);
  });
});

describe('attention in a compiled function', () => {
  beforeAll(() => take({ engine: 'tensorflow', path: 'native' }));

  it('gives the same bits, gradients too', () => {
    const entry = ATTENTION_CASES.find(({ bias, mask }) => bias && mask)!;
    const step = (tensors: tf.Tensor[], bias: tf.Tensor, mask: tf.Tensor, upstream: tf.Tensor) => {
      const run = (...all: tf.Tensor[]) =>
        attention(entry.layout, all.slice(0, -1), entry.heads, { bias: all.at(-1)!, mask });
      return [
        run(...tensors, bias),
        ...tf.grads((...all) => tf.mul(run(...all), upstream))([...tensors, bias]),
      ];
    };
    const compiled = compile(step);
    tf.tidy(() => {
      const { tensors, bias, mask, upstream } = inputsOf(entry);
      const args: Parameters<typeof step> = [tensors, bias!, mask!, upstream];
      const got = compiled(...args).map((x) => [...valuesOf(x)]);
      expect(compiled.compiled).toBe(true);
      expect(got).toEqual(step(...args).map((x) => [...valuesOf(x)]));
    });
    compiled.dispose();
  });
});
