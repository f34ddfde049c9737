// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import {
  addVariable,
  attr,
  GraphBuilder,
  type SavedModelContent,
  warmupFiles,
} from '../../src/export/index.js';

/** Sides of the inputs and outputs of the model. */
export const SIZES = { inputs: 3, outputs: 2 };

/**
 * A hand-made model: `y = x * weight + bias` for rows `x`; `label_bytes`, names in capitals; `next`, whole numbers plus
 * one; and a signature `number` that reads the numbers in texts and refuses all others.
 */
export function affineModel(scope: string): SavedModelContent {
  const weight = tf.tensor2d([1, 2, 3, 4, 5, 6], [SIZES.inputs, SIZES.outputs]);
  const bias = tf.tensor1d([0.5, -0.5]);
  const graph = new GraphBuilder();
  const float = { T: attr.type('float32') };
  const variables = [
    { name: 'dense.weight', value: weight as tf.Tensor },
    { name: 'dense.bias', value: bias as tf.Tensor },
  ].map((variable) => ({ ...variable, nodes: addVariable(graph, scope, variable) }));
  const x = graph.placeholder('x', 'float32', [-1, SIZES.inputs]);
  const product = graph.add('MatMul', 'product', [x, variables[0]!.nodes.read], {
    ...float,
    transpose_a: attr.bool(false),
  });
  const y = graph.add('AddV2', 'y', [product, variables[1]!.nodes.read], float);
  const names = graph.placeholder('names', 'string', [-1]);
  const loud = graph.add('StringUpper', 'loud', [names], { encoding: attr.text('') });
  const wholes = graph.placeholder('wholes', 'int64', [-1]);
  const one = graph.constant('one', { dtype: 'int64', shape: [], values: BigInt64Array.of(1n) });
  const next = graph.add('AddV2', 'next', [wholes, one], { T: attr.type('int64') });
  const texts = graph.placeholder('texts', 'string', [-1]);
  const read = graph.add('StringToNumber', 'read', [texts], { out_type: attr.type('float32') });
  const rows = { tensor: `${x}:0`, dtype: 'float32', shape: [-1, SIZES.inputs] } as const;
  const sums = { tensor: `${y}:0`, dtype: 'float32', shape: [-1, SIZES.outputs] } as const;
  return {
    nodes: graph.nodes,
    variables,
    signatures: {
      serving_default: { inputs: { x: rows }, outputs: { y: sums } },
      number: {
        inputs: { text: { tensor: `${texts}:0`, dtype: 'string', shape: [-1] } },
        outputs: { value: { tensor: `${read}:0`, dtype: 'float32', shape: [-1] } },
      },
      named: {
        inputs: {
          x: rows,
          name: { tensor: `${names}:0`, dtype: 'string', shape: [-1] },
          whole: { tensor: `${wholes}:0`, dtype: 'int64', shape: [-1] },
        },
        outputs: {
          y: sums,
          label_bytes: { tensor: `${loud}:0`, dtype: 'string', shape: [-1] },
          next: { tensor: `${next}:0`, dtype: 'int64', shape: [-1] },
        },
      },
    },
    assets: { 'labels.txt': 'ship\nplane\n' },
    extra: warmupFiles([
      {
        signature: 'serving_default',
        inputs: new Map([['x', { dtype: 'float32', shape: [1, 3], values: Float32Array.of(1, 0, 2) }]]),
        outputs: new Map([['y', { dtype: 'float32', shape: [1, 2], values: Float32Array.of(11.5, 13.5) }]]),
      },
    ]),
  };
}

/** Frees the values of the variables. */
export function disposeContent({ variables }: SavedModelContent): void {
  tf.dispose(variables.map(({ value }) => value));
}
