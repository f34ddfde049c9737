// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready, SavedModelSession, traceGraph } from '../../src/engine/index.js';
import { type ByTrace, findRule, TRACED_BATCHES } from '../../src/export/batch_rules.js';
import { attr, GraphBuilder, writeSavedModel } from '../../src/export/index.js';
import { addBatchSize, inlineFunction } from '../../src/export/traced_function.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-batch-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeAll(() => ready({ engine: 'tensorflow' }));

const ints = (make: (batch: number) => number[], shape?: (batch: number) => number[]) =>
  TRACED_BATCHES.map((batch) => {
    const values = Int32Array.from(make(batch));
    return { dtype: 'int32', shape: shape?.(batch) ?? [values.length], values } as const;
  }) as unknown as ByTrace;

const BESIDE = { frozen: true, values: 'beside' } as const;

const range = (length: number) => Array.from({ length }, (_, i) => i);

describe('findRule', () => {
  it('sees what does not change, and sides that are multiples of the batch', () => {
    expect(
      findRule(
        ints(() => [1, 2]),
        'x',
      ),
    ).toEqual({ kind: 'same' });
    const rule = findRule(
      ints((batch) => [batch, 7, 8 * batch, batch - 1]),
      'x',
    );
    expect(rule).toMatchObject({ kind: 'affine' });
    expect(
      rule.kind === 'affine' && [
        [...(rule.offset.values as Int32Array)],
        [...(rule.gain.values as Int32Array)],
      ],
    ).toEqual([
      [0, 7, 0, -1],
      [1, 0, 8, 1],
    ]);
  });

  it('sees tables with the same or a moved part for each item', () => {
    const tiled = findRule(
      ints(
        (batch) => range(batch).flatMap(() => [4, 5, 6, 7]),
        (batch) => [batch * 2, 2],
      ),
      'x',
    );
    expect(tiled).toMatchObject({ kind: 'tiled', axis: 0, base: { values: Int32Array.of(4, 5, 6, 7) } });
    // The second of each two stands for "none": one behind the last of all.
    const moved = findRule(
      ints(
        (batch) => range(batch).flatMap((item) => [3 + 10 * item, 10 * batch]),
        (batch) => [1, batch * 2, 1],
      ),
      'x',
    );
    expect(moved).toMatchObject({
      kind: 'moved',
      axis: 1,
      offset: { shape: [1, 2, 1], values: Int32Array.of(3, 0) },
      gain: { values: Int32Array.of(0, 10) },
      step: { values: Int32Array.of(10, 0) },
    });
  });

  it.each([
    ['powers of the batch', ints((batch) => [batch * batch])],
    ['rows that follow no rule', ints((batch) => range(batch).map((item) => item * item))],
    [
      'two sides that change',
      ints(
        (batch) => range(batch * batch).map(() => 0),
        (batch) => [batch, batch],
      ),
    ],
    ['a length that is no multiple', ints((batch) => range(batch + 1).map(() => 0))],
  ])('refuses %s, saying what to do', (_, constants) => {
    expect(() => findRule(constants, 'constant c')).toThrow(/--batch dynamic.*constant c.*give a number/);
  });
});

describe('a function traced with three batch sizes', () => {
  /** Uses the batch size in shapes, in tables and in indices. */
  function example(x: tf.Tensor2D): tf.Tensor {
    const [batch, size] = x.shape;
    const offsets = tf.tensor1d(
      range(batch).map((item) => item * size),
      'int32',
    );
    // Row numbers, with one behind the last for "none".
    const rows = tf.tensor1d(
      range(batch).flatMap((item) => [item, batch]),
      'int32',
    );
    const padded = tf.concat([x, tf.zeros([1, size])], 0);
    const paired = tf.reshape(tf.gather(padded, rows), [batch, 2 * size]);
    const bias = tf.tile(tf.tensor2d([[1, 2, 3]]), [batch, 1]);
    const flat = tf.reshape(tf.add(x, bias), [batch * size]);
    const last = tf.gather(flat, tf.add(offsets, tf.scalar(size - 1, 'int32')));
    return tf.concat([tf.reshape(flat, [batch, size]), tf.reshape(last, [batch, 1]), paired], 1);
  }

  it('runs with any other', async () => {
    const graph = new GraphBuilder();
    const input = graph.placeholder('x', 'float32', [-1, 3]);
    const traces = TRACED_BATCHES.map((batch) => {
      const x = tf.zeros([batch, 3]) as tf.Tensor2D;
      return traceGraph(example, [x], BESIDE);
    });
    const { results, variables } = inlineFunction(graph, traces, {
      prefix: 'f/',
      arguments: [input],
      scope: 'test',
      names: new Map(),
      batch: addBatchSize(graph, input, 'float32'),
    });
    const y = graph.add('Identity', 'y', [results[0]!], { T: attr.type('float32') });
    const port = (tensor: string, size: number) => ({ tensor, dtype: 'float32' as const, shape: [-1, size] });
    const signatures = {
      serving_default: { inputs: { x: port('x:0', 3) }, outputs: { y: port(`${y}:0`, 10) } },
    };
    await writeSavedModel(join(root, 'example'), { nodes: graph.nodes, variables, signatures });
    const session = SavedModelSession.open(join(root, 'example'));
    for (const batch of [1, 2, 4, 9]) {
      const x = tf.randomUniform([batch, 3]) as tf.Tensor2D;
      const fed = { dtype: 'float32' as const, shape: x.shape, values: x.dataSync() as Float32Array };
      const [result] = await session.run(new Map([['x:0', fed]]), ['y:0']);
      expect(result!.shape).toEqual([batch, 10]);
      expect([...(result!.values as Float32Array)]).toEqual([...example(x).dataSync()]);
    }
    session.close();
  });

  it('is refused where operations depend on the batch', () => {
    const split = (x: tf.Tensor2D) => tf.addN(tf.unstack(x));
    const traces = TRACED_BATCHES.map((batch) =>
      traceGraph(split, [tf.zeros([batch, 3]) as tf.Tensor2D], BESIDE),
    );
    const graph = new GraphBuilder();
    const options = { prefix: '', arguments: ['x'], scope: '', names: new Map(), batch: 'b' };
    expect(() => inlineFunction(graph, traces, options)).toThrow(/--batch dynamic/);
  });
});

describe('traceGraph with values beside the graph', () => {
  it('computes at once what depends on no argument, and names the variables it took', () => {
    const weight = tf.variable(tf.tensor1d([2, 3]));
    const fn = (x: tf.Tensor) => tf.add(tf.mul(x, weight), tf.square(weight));
    const { captured } = traceGraph(fn, [tf.zeros([2])], BESIDE);
    expect(captured.map(({ variable, value }) => [variable === weight, [...value.dataSync()]])).toEqual([
      [true, [2, 3]],
      [false, [4, 9]],
    ]);
    tf.dispose(captured.map(({ value }) => value));
    expect([...weight.dataSync()]).toEqual([2, 3]);
    weight.dispose();
  });
});
