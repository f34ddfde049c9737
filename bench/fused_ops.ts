// SPDX-License-Identifier: Apache-2.0
// Times layerNorm, gelu and linearAssignment, native beside plain, in one run: `npx tsx bench/fused_ops.ts`.
import * as tf from '@tensorflow/tfjs';
import { ready } from '../src/engine/index.js';
import { gelu, layerNorm, linearAssignment, type OpPath } from '../src/ops/index.js';
import { LAYER_NORM_TIMINGS } from '../test/cases/layer_norm.js';
import { LINEAR_ASSIGNMENT_TIMINGS, linearAssignmentCosts } from '../test/cases/linear_assignment.js';
import { fastest, printTable } from './timing.js';

const PATHS: readonly OpPath[] = ['native', 'plain'];
const HEAD = ['case', 'native forward', 'forward + backward', 'plain forward', 'forward + backward'];

await ready({ engine: 'tensorflow' });
printTable(
  'layerNorm',
  HEAD,
  LAYER_NORM_TIMINGS.map(({ shape, eps }) => {
    const x = tf.randomNormal(shape);
    const channels = shape.at(-1)!;
    const [weight, bias] = [tf.ones([channels]), tf.zeros([channels])];
    return [
      `[${shape}]`,
      ...bothWays(
        [x, weight, bias],
        (path) => layerNorm(x, weight, bias, eps, { path }),
        (path) => tf.grads((a, b, c) => layerNorm(a!, b!, c!, eps, { path })),
      ),
    ];
  }),
);
printTable(
  'gelu',
  HEAD,
  LAYER_NORM_TIMINGS.map(({ shape }) => {
    const x = tf.randomNormal(shape);
    return [
      `[${shape}]`,
      ...bothWays(
        [x],
        (path) => gelu(x, { path }),
        (path) => tf.grads((a) => gelu(a!, { path })),
      ),
    ];
  }),
);
printTable(
  'linearAssignment',
  ['case', 'native', 'plain'],
  LINEAR_ASSIGNMENT_TIMINGS.map((entry) => {
    const costs = tf.tensor3d(linearAssignmentCosts(entry), [
      entry.sizes.length,
      entry.queries,
      entry.targets,
    ]);
    const sizes = tf.tensor1d(entry.sizes, 'int32');
    return [entry.name, ...PATHS.map((path) => fastest(() => linearAssignment(costs, sizes, { path })))];
  }),
);

/** Forward, and forward with backward, on both paths. */
function bothWays(
  inputs: tf.Tensor[],
  forward: (path: OpPath) => tf.Tensor,
  gradients: (path: OpPath) => (args: tf.Tensor[], dy: tf.Tensor) => tf.Tensor[],
): number[] {
  const upstream = tf.onesLike(inputs[0]!);
  return PATHS.flatMap((path) => [
    fastest(() => forward(path)),
    fastest(() => gradients(path)(inputs, upstream)),
  ]);
}
