// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { seedInitialisers } from '../../../src/models/init.js';
import { MSDeformAttn } from '../../../src/models/layers/ms_deform_attn.js';
import { relativeError, valuesOf } from '../../cases/close.js';

// Golden values of the whole module are in test/parity.test.ts.

beforeAll(async () => {
  await ready();
});

const SHAPES: [number, number][] = [
  [4, 6],
  [2, 3],
];

function build(): MSDeformAttn {
  seedInitialisers(5);
  return new MSDeformAttn({ dModel: 16, heads: 4, levels: 2, points: 3 });
}

const inputs = (coordinates = 2) => ({
  query: tf.randomNormal([2, 5, 16], 0, 1, 'float32', 1),
  reference: tf.randomUniform([2, 5, 2, coordinates], 0.3, 0.7, 'float32', 2),
  value: tf.randomNormal([2, 30, 16], 0, 1, 'float32', 3),
});

describe('MSDeformAttn', () => {
  it('has the names and shapes of the reference', () => {
    const shapes = [...build().namedParameters()].map(([name, { variable }]) => [name, variable.shape]);
    expect(shapes).toEqual([
      ['sampling_offsets.weight', [48, 16]],
      ['sampling_offsets.bias', [48]],
      ['attention_weights.weight', [24, 16]],
      ['attention_weights.bias', [24]],
      ['value_proj.weight', [16, 16]],
      ['value_proj.bias', [16]],
      ['output_proj.weight', [16, 16]],
      ['output_proj.bias', [16]],
    ]);
  });

  it('first looks 1, 2, 3 pixels right, down, left and up, with equal weights', () => {
    const { query, reference, value } = inputs();
    const { attentionWeights, samplingLocations } = build().attend(query, reference, value, SHAPES);
    expect(new Set(valuesOf(attentionWeights).map((v) => Math.round(v * 6e4)))).toEqual(new Set([1e4]));
    const sizes = tf.tensor([6, 4, 3, 2], [1, 1, 1, 2, 1, 2]);
    const offsets = tf.mul(tf.sub(samplingLocations, reference.reshape([2, 5, 1, 2, 1, 2])), sizes);
    const first = Array.from(valuesOf(offsets).subarray(0, 48), (v) => Math.round(v * 1e4) / 1e4 + 0);
    const steps = (x: number, y: number) => [1, 2, 3, 1, 2, 3].flatMap((p) => [x * p, y * p]);
    expect(first).toEqual(
      [...steps(1, 0), ...steps(0, 1), ...steps(-1, 0), ...steps(0, -1)].map((v) => v + 0),
    );
  });

  it('takes nothing from padding, not even its bias', () => {
    const { query, reference, value } = inputs(4);
    const module = build();
    module
      .namedParameters()
      .get('value_proj.bias')!
      .variable.assign(tf.ones([16]));
    const none = module.forward(query, reference, value, SHAPES, tf.zeros([2, 30]));
    expect([...valuesOf(none)].every((v) => v === 0)).toBe(true);
    const mask = tf.concat([tf.ones([2, 24]), tf.zeros([2, 6])], 1);
    const other = tf.concat([value.slice([0, 0, 0], [2, 24, 16]), tf.ones([2, 6, 16])], 1);
    const [a, b] = [value, other].map((v) => valuesOf(module.forward(query, reference, v, SHAPES, mask)));
    expect([...a!]).toEqual([...b!]);
    expect([...a!]).not.toEqual([...valuesOf(module.forward(query, reference, value, SHAPES))]);
  });

  it.each([2, 4])(
    'forward gives what attend gives, padding or not, around references of %d numbers',
    (coordinates) => {
      const { query, reference, value } = inputs(coordinates);
      const module = build();
      const variables = [...module.trainableParameters().values()];
      for (const variable of variables) {
        variable.assign(tf.randomNormal(variable.shape, 0, 0.3, 'float32', variable.size));
      }
      for (const mask of [null, tf.concat([tf.ones([2, 24]), tf.zeros([2, 6])], 1)]) {
        const forward = () => module.forward(query, reference, value, SHAPES, mask);
        const attend = () => module.attend(query, reference, value, SHAPES, mask).output;
        expect(relativeError(valuesOf(forward()), valuesOf(attend()))).toBeLessThan(1e-5);
        const [a, b] = [forward, attend].map((run) =>
          tf.variableGrads(() => tf.sum(tf.square(run())) as tf.Scalar, variables),
        );
        for (const { name } of variables) {
          expect(relativeError(valuesOf(a!.grads[name]!), valuesOf(b!.grads[name]!))).toBeLessThan(1e-5);
        }
      }
    },
  );

  it('runs the raw op, with values in bfloat16 where asked', async () => {
    const { query, reference, value } = inputs();
    const module = build();
    const profile = await tf.profile(() => module.forward(query, reference, value, SHAPES));
    expect(profile.kernelNames).toContain('TfgeoMsDeformAttnRaw');
    const exact = valuesOf(module.forward(query, reference, value, SHAPES));
    const short = valuesOf(module.forward(query, reference, value, SHAPES, null, { values: 'bfloat16' }));
    expect(relativeError(short, exact)).toBeLessThan(0.02);
    expect(relativeError(short, exact)).toBeGreaterThan(1e-5);
  });

  it('gives a gradient to every parameter and to the reference points', () => {
    const { query, reference, value } = inputs();
    const module = build();
    const variables = [...module.trainableParameters().values()];
    const offsetGradients = tf.variableGrads(
      () => tf.sum(tf.square(module.forward(query, reference, value, SHAPES))) as tf.Scalar,
      variables,
    );
    for (const variable of variables) {
      const size = tf.max(tf.abs(offsetGradients.grads[variable.name]!)).dataSync()[0]!;
      expect(size).toBeGreaterThan(0);
    }
    const byReference = tf.grad((r) => module.forward(query, r, value, SHAPES))(reference);
    expect(byReference.shape).toEqual(reference.shape);
  });

  it.each([
    [
      'heads that do not divide',
      () => new MSDeformAttn({ dModel: 10, heads: 4 }),
      /multiple of heads = 4 for dModel/,
    ],
    [
      'a query of other channels',
      () => build().forward(tf.zeros([2, 5, 8]), inputs().reference, inputs().value, SHAPES),
      /\[MSDeformAttn\] expected shape \[N, Q, C\].* for query but received \[2, 5, 8\]/,
    ],
    [
      'reference points of 3 numbers',
      () => build().forward(inputs().query, inputs(3).reference, inputs().value, SHAPES),
      /\[N, Q, L, 2 or 4\] for referencePoints/,
    ],
    [
      'another sequence',
      () => build().forward(inputs().query, inputs().reference, tf.zeros([2, 29, 16]), SHAPES),
      /a sum of H \* W = 29/,
    ],
  ])('refuses %s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
