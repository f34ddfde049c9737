// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { assignTargets } from './linear_assignment_solver.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'linearAssignment';
const KERNEL = 'TfgeoLinearAssignment';

/**
 * Assigns targets to queries at the least total cost, exactly (in double precision); each batch item is a problem of its
 * own. Has no gradient. The native op keeps everything on the engine's side; elsewhere the costs are read back.
 *
 * Source: Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment
 * problems".
 *
 * @param costs `[B, Q, T]`; +infinity forbids a pair
 * @param sizes int32 `[B]`, how many targets of each item are real; the columns after them are padding
 * @returns int32 `[B, T]`, the query of each target; -1 for padding and, where there are more targets than queries, for
 *   those left over
 * @throws Error naming the batch item where a cost is NaN or -infinity, or too many pairs are forbidden
 */
export function linearAssignment(
  costs: tf.Tensor3D,
  sizes: tf.Tensor1D,
  options: OpOptions = {},
): tf.Tensor2D {
  if (costs.rank !== 3) throw argumentError(OP, 'shape [B, Q, T]', 'costs', `[${costs.shape.join(', ')}]`);
  if (costs.dtype !== 'float32') throw argumentError(OP, 'type float32', 'costs', costs.dtype);
  checkTensor(OP, 'sizes', sizes, 'int32', '[B]', [costs.shape[0]]);
  // An empty tensor has nothing to assign, and not every backend takes one.
  if (costs.size === 0) return tf.fill([costs.shape[0], costs.shape[2]], -1, 'int32') as tf.Tensor2D;
  if (useNative(OP, linearAssignmentRegistration, options)) {
    const inputs = { costs, sizes };
    return tf.engine().runKernel(KERNEL, inputs) as tf.Tensor2D;
  }
  return linearAssignmentPlain(costs, sizes);
}

/** The meaning of the native op, in TypeScript. */
export function linearAssignmentPlain(costs: tf.Tensor3D, sizes: tf.Tensor1D): tf.Tensor2D {
  const [batch, queries, targets] = costs.shape;
  const values = costs.dataSync() as Float32Array;
  const found = new Int32Array(batch * targets).fill(-1);
  sizes.dataSync().forEach((size, b) => {
    if (size < 0 || size > targets) {
      throw argumentError(OP, `0 to ${targets} targets`, `batch item ${b}`, `${size}`);
    }
    const problem = values.subarray(b * queries * targets, (b + 1) * queries * targets);
    const result = assignTargets(
      problem,
      queries,
      size,
      targets,
      found.subarray(b * targets, b * targets + size),
    );
    const subject = `the costs of batch item ${b}`;
    if (result === 'invalid') throw argumentError(OP, 'numbers or +infinity', subject, 'NaN or -infinity');
    if (result === 'infeasible') {
      const received = `too many +infinity among ${queries} queries x ${size} targets`;
      throw argumentError(OP, 'a possible assignment', subject, received);
    }
  });
  return tf.tensor2d(found, [batch, targets], 'int32');
}

/** Rows of the registration list, see index.ts. */
export const linearAssignmentRegistration: OpRegistration = {
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs }) => runOp(KERNEL, [], [inputs.costs, inputs.sizes] as tf.Tensor[], 1)[0]!,
    },
  ],
  gradients: [],
};
