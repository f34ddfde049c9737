// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import type { NativeBinding, OpAttr, TensorId, TensorMetadata } from './binding.js';
import { trace } from './function/trace.js';
import type { NodeBackend } from './kernels.js';
import { TENSORFLOW_BACKEND } from './tensorflow_engine.js';

/** One TensorFlow operation of a traced function. */
export interface TracedOp {
  op: string;
  attrs: readonly OpAttr[];
  /** Shapes of its inputs, lists one after the other; null for an input that the binding itself made. */
  inputs: readonly (readonly number[] | null)[];
  outputs: readonly (readonly number[])[];
}

/**
 * The operations that `fn` consists of, as they are traced: nothing is computed, and no graph is kept.
 * @param args for their types, shapes and constant parts; values of tensors do not matter
 * @throws UserError if the engine is not `tensorflow`, or if `fn` cannot be traced
 */
export function traceOps<A extends unknown[]>(fn: (...args: A) => unknown, args: A): TracedOp[] {
  const name = fn.name || 'function';
  if (tf.getBackend() !== TENSORFLOW_BACKEND) {
    throw new UserError(
      `${name}: operations are traced by engine 'tensorflow', and this is '${tf.getBackend()}'`,
      EXIT_CODES.engine,
    );
  }
  const backend = tf.backend() as NodeBackend;
  const ops: TracedOp[] = [];
  const release = watch(backend, ops);
  try {
    const traced = trace(backend, name, fn as (...args: never[]) => unknown, args);
    backend.binding.deleteFunction(traced.id);
    tf.dispose(traced.values.map(({ value }) => value));
  } finally {
    release();
  }
  return ops;
}

/** Notes every operation that the backend is given; returns what ends that. */
function watch(backend: NodeBackend, ops: TracedOp[]): () => void {
  const { binding, getInputTensorIds } = backend;
  const shapes = new Map<TensorId, readonly number[]>();
  const executeOp: NativeBinding['executeOp'] = (op, attrs, inputs, count) => {
    const outputs: TensorMetadata[] = binding.executeOp(op, attrs, inputs, count);
    for (const { id, shape } of outputs) shapes.set(id, shape);
    const known = inputs.map((id) => shapes.get(id) ?? null);
    ops.push({ op, attrs, inputs: known, outputs: outputs.map(({ shape }) => shape) });
    return outputs;
  };
  const replaced = backend as { binding: NativeBinding };
  replaced.binding = Object.create(binding, { executeOp: { value: executeOp } }) as NativeBinding;
  backend.getInputTensorIds = (tensors) => {
    const ids = getInputTensorIds.call(backend, tensors);
    for (const [i, id] of ids.entries()) shapes.set(id, tensors[i]!.shape);
    return ids;
  };
  return () => {
    replaced.binding = binding;
    backend.getInputTensorIds = getInputTensorIds;
  };
}
