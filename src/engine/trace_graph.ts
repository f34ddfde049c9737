// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { type CapturedValue, trace } from './function/trace.js';
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
  /** A serialized tensorflow.GraphDef. Arguments, variables and captured values are placeholders. */
  graph: Uint8Array;
  /** Tensors of the arguments, in order. */
  arguments: NodeSpec[];
  /** Variables that are read, each once. */
  variables: (NodeSpec & { variable: tf.Variable })[];
  /** Other values from outside, if they were asked for; whoever asked frees them. */
  captured: (NodeSpec & CapturedValue)[];
  /** Tensors of the result, in order. */
  results: NodeSpec[];
}

export interface TraceGraphOptions {
  name?: string;
  /** Variables are not read when it runs: they count with the value they have now. What depends on them alone is computed. */
  frozen?: boolean;
  /**
   * Where values from outside stand: as constants in the graph (default), or beside it, as `captured`. Those that may say
   * something about shapes are constants in any case. Beside it, equal constants stay apart too, so that traces of one
   * function with other shapes have the same nodes.
   */
  values?: 'constants' | 'beside';
}

/**
 * Traces `fn` as `compile` does and gives the graph, for writing it to files.
 * @param args for their types, shapes and constant parts; values of tensors do not matter
 * @throws UserError if the engine is not `tensorflow`, if `fn` cannot be traced, or assigns variables
 */
export function traceGraph<A extends unknown[]>(
  fn: (...args: A) => unknown,
  args: A,
  options: TraceGraphOptions = {},
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
    beside: options.values === 'beside',
    withGraph: true,
  });
  backend.binding.deleteFunction(traced.id);
  if (traced.writes.length > 0) {
    tf.dispose(traced.values.map(({ value }) => value));
    throw new UserError(`${name}: a function whose graph is taken must not assign ${traced.writes[0]!.name}`);
  }
  const { inputNames, outputNames } = traced;
  const firstCaptured = traced.arguments.length + traced.reads.length;
  return {
    graph: traced.graph,
    arguments: traced.arguments.map((spec, i) => ({ ...spec, node: inputNames[i]! })),
    variables: traced.reads.map((variable, i) => ({
      shape: [...variable.shape],
      dtype: variable.dtype,
      node: inputNames[traced.arguments.length + i]!,
      variable,
    })),
    captured: traced.values.map(({ value, variable }, i) => ({
      shape: [...value.shape],
      dtype: value.dtype,
      node: inputNames[firstCaptured + i]!,
      value,
      variable,
    })),
    results: traced.outputs.map((spec, i) => ({ ...spec, node: outputNames[i]! })),
  };
}
