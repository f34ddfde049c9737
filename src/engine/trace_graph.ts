// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { trace } from './function/trace.js';
import type { TensorSpec } from './function/trace_session.js';
import type { NodeBackend } from './kernels.js';
import { TENSORFLOW_BACKEND } from './tensorflow_engine.js';

/** A node of a traced graph that stands for a tensor. */
export interface NodeSpec extends TensorSpec {
  /** Name of the node; its output 0 is meant. */
  node: string;
}

/** What a function does, as a TensorFlow graph. */
export interface FunctionGraph {
  /** A serialized tensorflow.GraphDef. Arguments and variables are placeholders, everything else from outside is constant. */
  graph: Uint8Array;
  /** Tensors of the arguments, in order. */
  arguments: NodeSpec[];
  /** Variables that are read, each once. */
  variables: (NodeSpec & { variable: tf.Variable })[];
  /** Tensors of the result, in order. */
  results: NodeSpec[];
}

/**
 * Traces `fn` as `compile` does and gives the graph, for writing it to files.
 * @param args for their types, shapes and constant parts; values of tensors do not matter
 * @param options.frozen variables are constants too
 * @throws UserError if the engine is not `tensorflow`, if `fn` cannot be traced, or assigns variables
 */
export function traceGraph<A extends unknown[]>(
  fn: (...args: A) => unknown,
  args: A,
  options: { name?: string; frozen?: boolean } = {},
): FunctionGraph {
  const name = options.name ?? (fn.name || 'function');
  if (tf.getBackend() !== TENSORFLOW_BACKEND) {
    throw new UserError(
      `${name}: graphs are traced by engine 'tensorflow', and this is '${tf.getBackend()}'`,
      EXIT_CODES.engine,
    );
  }
  const backend = tf.backend() as NodeBackend;
  const traced = trace(backend, name, fn as (...args: never[]) => unknown, args, {
    frozen: options.frozen ?? false,
    mostConstantBytes: Number.POSITIVE_INFINITY,
    withGraph: true,
  });
  backend.binding.deleteFunction(traced.id);
  if (traced.writes.length > 0) {
    throw new UserError(`${name}: a function whose graph is taken must not assign ${traced.writes[0]!.name}`);
  }
  const { inputNames, outputNames } = traced;
  return {
    graph: traced.graph,
    arguments: traced.arguments.map((spec, i) => ({ ...spec, node: inputNames[i]! })),
    variables: traced.reads.map((variable, i) => ({
      shape: [...variable.shape],
      dtype: variable.dtype,
      node: inputNames[traced.arguments.length + i]!,
      variable,
    })),
    results: traced.outputs.map((spec, i) => ({ ...spec, node: outputNames[i]! })),
  };
}
