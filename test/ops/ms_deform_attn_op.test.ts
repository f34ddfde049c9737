// SPDX-License-Identifier: Apache-2.0
// The TensorFlow ops themselves: what TypeScript checks before them is not in the way here.
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { nativeBinding, type OpInput, opAttr, ready, runOp } from '../../src/engine/index.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

/** Shapes of one good call: N 1, S 6, M 2, D 3, L 1, P 2, Q 4. */
const GOOD = {
  value: [1, 6, 2, 3],
  spatial: [[2, 3]],
  locations: [1, 4, 2, 1, 2, 2],
  weights: [1, 4, 2, 1, 2],
  reference: [1, 4, 1, 2],
  offsets: [1, 4, 2, 1, 2, 2],
  logits: [1, 4, 2, 2],
  gradOutput: [1, 4, 6],
};
type Shapes = typeof GOOD;

/** Runs an op of the family on zeros. */
function call(op: string, shapes: Shapes): tf.Tensor[] {
  const raw = op.includes('Raw');
  const grad = op.endsWith('Grad');
  const samples = raw
    ? [shapes.reference, shapes.offsets, shapes.logits]
    : [shapes.locations, shapes.weights];
  const zeros = (shape: number[]) => tf.zeros(shape);
  const spatial = tf.tensor2d(
    shapes.spatial,
    [shapes.spatial.length, shapes.spatial[0]?.length ?? 2],
    'int32',
  );
  const inputs = [zeros(shapes.value), spatial, ...samples.map(zeros)];
  if (grad) inputs.unshift(zeros(shapes.gradOutput));
  return runOp(op, [opAttr.type('T', 'float32')], inputs, grad ? samples.length + 1 : 1);
}

const LOCATED = ['TfgeoMsDeformAttn', 'TfgeoMsDeformAttnGrad'];
const RAW = ['TfgeoMsDeformAttnRaw', 'TfgeoMsDeformAttnRawGrad'];
const ALL = [...LOCATED, ...RAW];
const GRAD = ALL.filter((op) => op.endsWith('Grad'));
const MOST = 2 ** 31 - 1;

describe('the ops of deformable attention', () => {
  it.each(ALL)('%s gives outputs of the right shapes', (op) => {
    const shapes = call(op, GOOD).map((tensor) => tensor.shape);
    const located = [GOOD.value, GOOD.locations, GOOD.weights];
    const raw = [GOOD.value, GOOD.reference, GOOD.offsets, GOOD.logits];
    expect(shapes).toEqual(op.endsWith('Grad') ? (op.includes('Raw') ? raw : located) : [GOOD.gradOutput]);
  });

  it.each<[string, string[], Partial<Shapes>, RegExp]>([
    [
      'a value of rank 3',
      ALL,
      { value: [1, 6, 6] },
      /(\[N, S, M, D\] for value but received \[1,6,6\]|rank 4)/,
    ],
    [
      'levels of 3 numbers',
      ALL,
      { spatial: [[2, 3, 1]] },
      /\[L, 2\] = \[1,2\] for spatial_shapes but received \[1,3\]/,
    ],
    ['a negative level', ALL, { spatial: [[-2, -3]] }, /level 0 of spatial.shapes but received \(-2, -3\)/],
    ['a level without pixels', ALL, { spatial: [[0, 3]] }, /level 0 of spatial.shapes but received \(0, 3\)/],
    [
      'levels that are too small',
      ALL,
      { spatial: [[2, 2]] },
      /equal to the 6 positions of value .* received 4/,
    ],
    [
      'levels whose sum overflows',
      ALL,
      { spatial: [[MOST, MOST]] },
      /the 6 positions of value .* received \d+ or more/,
    ],
    ['an empty batch', ALL, emptyBatch(), /at least 1 for batch but received 0/],
    ['no channels', ALL, { value: [1, 6, 2, 0], gradOutput: [1, 4, 0] }, /at least 1 for dim but received 0/],
    ['an empty map', ALL, { value: [1, 0, 2, 3] }, /at least 1 for length but received 0/],
    ['no level', ALL, noLevel(), /at least 1 for levels but received 0/],
    [
      'locations of other heads',
      LOCATED,
      { locations: [1, 4, 3, 1, 2, 2] },
      /sampling_locations but received \[1,4,3,1,2,2\]/,
    ],
    ['locations of 3 numbers', LOCATED, { locations: [1, 4, 2, 1, 2, 3] }, /sampling_locations but received/],
    [
      'weights of other queries',
      LOCATED,
      { weights: [1, 3, 2, 1, 2] },
      /attention_weights but received \[1,3,2,1,2\]/,
    ],
    ['offsets of other levels', RAW, { offsets: [1, 4, 2, 2, 2, 2] }, /sampling_offsets but received/],
    [
      'logits of other points',
      RAW,
      { logits: [1, 4, 2, 3] },
      /\[N, Q, M, L \* P\] = \[1,4,2,2\] for attention_logits/,
    ],
    ['logits of rank 3', RAW, { logits: [1, 4, 4] }, /attention_logits but received \[1,4,4\]/],
    [
      'references of 3 numbers',
      RAW,
      { reference: [1, 4, 1, 3] },
      /reference_points but received \[1,4,1,3\]/,
    ],
    [
      'references of rank 3',
      RAW,
      { reference: [1, 4, 2] },
      /\[N, Q, L, 2 or 4\] .* reference_points but received \[1,4,2\]/,
    ],
    [
      'an output of other queries',
      GRAD,
      { gradOutput: [1, 5, 6] },
      /\[1,4,6\] for grad_output but received \[1,5,6\]/,
    ],
    [
      'an output of 2^32 elements',
      ['TfgeoMsDeformAttn'],
      hugeOutput(),
      /fewer than 2\^31 elements for output/,
    ],
  ])('refuse %s', (_, ops, changed, message) => {
    for (const op of ops) {
      const before = nativeBinding().getNumOfTensors();
      tf.tidy(() => expect(() => call(op, { ...GOOD, ...changed })).toThrow(message));
      expect(nativeBinding().getNumOfTensors()).toBe(before);
    }
  });

  it.each(ALL)('%s has kernels for CPU and GPU and every type of value', (op) => {
    // The message about a combination without kernel lists those that there are.
    const raw = op.includes('Raw');
    const samples = raw ? [GOOD.reference, GOOD.offsets, GOOD.logits] : [GOOD.locations, GOOD.weights];
    const wide = (shape: number[]): OpInput => ({ tensor: tf.zeros(shape), as: 'float64' });
    const spatial = { shape: [1, 2], int32: Int32Array.from([2, 3]) };
    const inputs = [wide(GOOD.value), spatial, ...samples.map((shape) => tf.zeros(shape))];
    if (op.endsWith('Grad')) inputs.unshift(wide(GOOD.gradOutput));
    let message = '';
    try {
      runOp(op, [], inputs, 1);
    } catch (error) {
      message = (error as Error).message;
    }
    for (const device of ['CPU', 'GPU']) {
      for (const types of [
        'FLOAT]; C in [DT_FLOAT',
        'DOUBLE]; C in [DT_DOUBLE',
        'BFLOAT16]; C in [DT_FLOAT',
        'HALF]; C in [DT_FLOAT',
      ]) {
        expect(message).toContain(`device='${device}'; T in [DT_${types}]`);
      }
    }
  });

  it.each(['float64', 'float16'] as const)('compute in %s what they do in float32', (type) => {
    const random = (shape: number[], seed: number) => tf.randomUniform(shape, 0, 1, 'float32', seed);
    const [value, locations, weights] = [GOOD.value, GOOD.locations, GOOD.weights].map(random) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const spatial = { shape: [1, 2], int32: Int32Array.from([2, 3]) };
    const typed = (tensor: tf.Tensor, as: 'float64' | 'float16'): OpInput => ({ tensor, as });
    const samples = [locations, weights].map((t) => (type === 'float64' ? typed(t, type) : t));
    const [got] = runOp('TfgeoMsDeformAttn', [], [typed(value, type), spatial, ...samples], 1);
    const [wanted] = runOp('TfgeoMsDeformAttn', [], [value, spatial, locations, weights], 1);
    expect(got!.dtype).toBe('float32');
    const error = tf.max(tf.abs(tf.sub(got!, wanted!))).dataSync()[0]!;
    expect(error).toBeLessThan(type === 'float64' ? 1e-6 : 2e-3);
  });
});

function emptyBatch(): Partial<Shapes> {
  const all = { ...GOOD };
  for (const key of [
    'value',
    'locations',
    'weights',
    'reference',
    'offsets',
    'logits',
    'gradOutput',
  ] as const) {
    all[key] = [0, ...GOOD[key].slice(1)];
  }
  return all;
}

function noLevel(): Partial<Shapes> {
  return {
    spatial: [],
    locations: [1, 4, 2, 0, 2, 2],
    weights: [1, 4, 2, 0, 2],
    reference: [1, 4, 0, 2],
    offsets: [1, 4, 2, 0, 2, 2],
    logits: [1, 4, 2, 0],
  };
}

function hugeOutput(): Partial<Shapes> {
  const size = 2 ** 16;
  return { value: [1, 6, 1, size], locations: [1, size, 1, 1, 1, 2], weights: [1, size, 1, 1, 1] };
}
