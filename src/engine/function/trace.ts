// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';
import type { TensorId } from '../binding.js';
import type { NodeBackend } from '../kernels.js';
import { FUNCTION_CONFIG } from './config.js';
import { ScopeTracker } from './scopes.js';
import { type ResultTemplate, replaceTensors, templateOf, tensorsOf } from './structure.js';
import { type TensorSpec, TraceSession } from './trace_session.js';
import { callSite } from './user_line.js';

/** A function as TensorFlow knows it. */
export interface TracedGraph {
  /** The addon's id of the function. */
  id: number;
  arguments: readonly TensorSpec[];
  /** What follows the arguments as inputs. */
  reads: readonly tf.Variable[];
  /** Outputs of the result, then the new values of `writes`. */
  outputs: readonly TensorSpec[];
  writes: readonly tf.Variable[];
  result: ResultTemplate;
  nodes: number;
  constants: number;
  captured: number;
  /** Variables that are constants of the function, and the data they held. */
  frozen: readonly { variable: tf.Variable; dataId: tf.DataId }[];
  /** A GraphDef; empty if not asked for. */
  graph: Uint8Array;
  /** Its nodes of the arguments, of `reads`, and of captured tensors. */
  inputNames: readonly string[];
  /** Its nodes of the results and of `writes`. */
  outputNames: readonly string[];
  /** What its captured tensors hold; whoever asked for the graph frees them. */
  values: readonly CapturedValue[];
}

/** A value from outside that a function keeps. */
export interface CapturedValue {
  value: tf.Tensor;
  /** The variable that held it, if one did. */
  variable: tf.Variable | null;
}

export interface TraceOptions {
  /** Variables are constants; what depends on them alone is computed when traced. */
  frozen?: boolean;
  /** Larger constants are kept beside the graph and passed in on every call. */
  mostConstantBytes?: number;
  /** Values are kept so whatever their size, unless they may say something about shapes; see `traceGraph`. */
  beside?: boolean;
  /** Also serialize the graph. */
  withGraph?: boolean;
  /** Names of nodes begin with what `inScope` was given. */
  scopes?: boolean;
}

/** Constants in a graph are copied whenever the graph is, so large ones stay outside. */
const MOST_CONSTANT_BYTES = 16 * 1024;

let tracing = false;

/** Whether a function is being traced now. */
export function isTracing(): boolean {
  return tracing;
}

/**
 * Runs `fn` once on symbolic tensors and registers what it does as a TensorFlow function.
 * @param args its arguments, for their types, shapes and constant parts
 * @throws UserError for reading values, shapes that depend on values, and tensors that outlive the trace
 */
export function trace(
  backend: NodeBackend,
  name: string,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  options: TraceOptions = {},
): TracedGraph {
  const {
    frozen = false,
    mostConstantBytes = MOST_CONSTANT_BYTES,
    withGraph = false,
    beside = false,
  } = options;
  const { binding } = backend;
  const held = beside ? heldByVariables(backend) : new Map<TensorId, tf.Variable>();
  const engine = tf.engine();
  const session = new TraceSession(backend, engine.state);
  const stackLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  tracing = true;
  binding.traceBegin(Math.min(mostConstantBytes, Number.MAX_SAFE_INTEGER), beside, [...held.keys()]);
  engine.startScope('compile');
  const scopes = options.scopes ? new ScopeTracker(binding) : null;
  try {
    const specs: TensorSpec[] = [];
    const symbols = replaceTensors(args, (tensor) => {
      specs.push({ shape: [...tensor.shape], dtype: tensor.dtype });
      return session.argument(tensor);
    }) as never[];
    session.substitute(frozen);
    const result = fn(...symbols);
    session.checkReads();
    if (result instanceof Promise) {
      throw new UserError(`${name}: a compiled function must not be async; it returned a promise`);
    }
    const tensors = tensorsOf(result);
    const writes = session.assigned();
    if (frozen && writes.length > 0) {
      throw new UserError(`${name}: a function with frozen variables must not assign ${writes[0]!.name}`);
    }
    const outputs = [...tensors, ...writes];
    const ids = backend.getInputTensorIds(outputs);
    session.checkKept(name);
    const { id, variables, values, ...rest } = binding.traceFinish(
      nodeName(name),
      ids,
      withGraph,
      FUNCTION_CONFIG,
    );
    return {
      id,
      arguments: specs,
      reads: variables.map((number) => session.variable(number)),
      outputs: outputs.map(({ shape, dtype }) => ({ shape: [...shape], dtype })),
      writes,
      frozen: frozen ? session.frozenReads.map((variable) => ({ variable, dataId: variable.dataId })) : [],
      result: templateOf(result),
      values: values.map(({ source, ...metadata }) => ({
        value: engine.keep(backend.createOutputTensor(metadata)),
        variable: held.get(source) ?? null,
      })),
      ...rest,
    };
  } catch (error) {
    throw explain(name, session.readError ?? error);
  } finally {
    binding.traceAbort();
    scopes?.end();
    tracing = false;
    Error.stackTraceLimit = stackLimit;
    session.restore();
    engine.endScope();
  }
}

/** Variables by the ids of what they hold. */
function heldByVariables(backend: NodeBackend): Map<TensorId, tf.Variable> {
  const variables = Object.values(tf.engine().registeredVariables);
  return new Map(backend.getInputTensorIds(variables).map((id, i) => [id, variables[i]!]));
}

/** What TensorFlow takes as the name of a function. */
function nodeName(name: string): string {
  return `tfgeo_${name.replace(/[^A-Za-z0-9_]/g, '_')}`;
}

/** An error with the call and the line of the program that a trace cannot serve. */
function explain(name: string, error: unknown): unknown {
  if (typeof error !== 'object' || error === null || error instanceof UserError) return error;
  const { code, message, stack } = error as Error & { code?: string };
  const site = callSite(stack);
  const where = site === null ? '' : ` in ${site.call}, called at ${site.line}`;
  if (code === 'TFGEO_SYMBOLIC') {
    return new UserError(
      `${name}: the value of a tensor is read while the function is traced${where}. Values exist only when it runs: ` +
        'keep to tensor operations, or return the tensor and read it afterwards.',
      undefined,
      { cause: error },
    );
  }
  if (code === 'TFGEO_TRACE_SHAPE') {
    return new UserError(
      `${name}: ${message}${where}. Shapes inside a compiled function must be known when it is traced: ` +
        'use padded tensors and masks instead.',
      undefined,
      { cause: error },
    );
  }
  return error;
}
