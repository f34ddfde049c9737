// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.js';
import { type TensorId, TF_DTYPE } from './binding.js';
import { difference, signatureOf } from './function/structure.js';
import { isTracing, type TracedGraph, trace } from './function/trace.js';
import { VariableMade } from './function/trace_session.js';
import type { NodeBackend } from './kernels.js';
import { TENSORFLOW_BACKEND } from './tensorflow_engine.js';

/** What a trace was made for, and what came of it. */
export interface TraceReport {
  /** Name of the function. */
  name: string;
  /** How many traces were made so far, this one included. */
  count: number;
  /** Why: `first call`, or what differs from the call before. */
  reason: string;
  milliseconds: number;
  nodes: number;
  /** Tensors from outside that the function keeps. */
  captured: number;
}

export interface CompileOptions {
  /** Name in messages and profiles; default the function's own. */
  name?: string;
  /** Traces that are kept, the ones not used for longest go first; default 16. */
  maxTraces?: number;
  /** Told of every trace; default who `setTraceListener` named. */
  onTrace?: (report: TraceReport) => void;
  /** False calls the function as it is: for comparing, and for finding faults; default what `setCompiling` set. */
  enabled?: boolean;
  /**
   * Variables are constants: what depends on them alone (weights joined, norms folded) is computed once, when traced. A
   * call after one was assigned traces anew, and the function itself must not assign. Default false.
   */
  frozen?: boolean;
  /** Calls of one signature that run as they are before one is traced; default 0. */
  warmup?: number;
}

let compiling = true;

/** Whether functions are compiled that don't say so themselves (default true); returns what it was before. */
export function setCompiling(on: boolean): boolean {
  const before = compiling;
  compiling = on;
  return before;
}

let listener: ((report: TraceReport) => void) | null = null;

/** Who is told of the traces of functions without an `onTrace` (default null: nobody); returns who was before. */
export function setTraceListener(told: typeof listener): typeof listener {
  const before = listener;
  listener = told;
  return before;
}

/** A function that runs as one TensorFlow operation. */
export interface Compiled<A extends unknown[], R> {
  (...args: A): R;
  /**
   * The same beside the JavaScript thread, which can do something else until the promise settles. Arguments may be freed at
   * once; variables are read at the call, and assigned when the promise settles.
   */
  background(...args: A): Promise<R>;
  /** Whether the last call ran as one operation: false before the first and on engines without functions. */
  readonly compiled: boolean;
  /** Traces that are kept now. */
  readonly traces: number;
  /** Frees all traces. The function stays usable and traces anew. */
  dispose(): void;
}

/**
 * A function over TensorFlow.js tensors that is traced into a TensorFlow function and runs as one operation: what
 * `tf.function` is in Python.
 *
 * The first call with arguments of certain types and shapes traces `fn`, that is, runs it on symbolic tensors and
 * records the operations; that call and all later ones of that signature run the recorded graph.
 * - Arguments and results are tensors in nested arrays and plain objects. Everything else in the arguments (numbers,
 *   strings, objects of classes) is part of the signature, so another value is another trace; in results it is what it
 *   was when traced.
 * - Variables that `fn` reads are read on every call; those it assigns are assigned on every call. Variables that it
 *   makes: the call that makes them runs as it is, and the next one is traced.
 * - Other tensors from outside count with the value they have when traced.
 * - Gradients (`tf.grads`, `tf.variableGrads`) work inside. Inside somebody else's gradient, `fn` runs as it is.
 * - JavaScript runs only when traced: no side effects, no random numbers of JavaScript's (see `RandomStream`).
 *
 * On engines other than `tensorflow` it calls `fn` (in a `tf.tidy`).
 * @throws UserError naming the line of `fn` that reads a value, or makes a shape that depends on values
 */
export function compile<A extends unknown[], R>(
  fn: (...args: A) => R,
  options: CompileOptions = {},
): Compiled<A, R> {
  const compiled = new CompiledFunction(fn, options);
  const call = (...args: A): R => compiled.call(args);
  return Object.defineProperties(call, {
    background: { value: (...args: A) => compiled.callInBackground(args) },
    compiled: { get: () => compiled.compiled },
    traces: { get: () => compiled.size },
    dispose: { value: () => compiled.dispose() },
    name: { value: compiled.name },
  }) as Compiled<A, R>;
}

const registry = new FinalizationRegistry<Map<string, TracedFunction>>((traces) => disposeAll(traces));

function disposeAll(traces: Map<string, TracedFunction>): void {
  for (const { backend, graph } of traces.values()) backend.binding.deleteFunction(graph.id);
  traces.clear();
}

/** Signatures whose calls are counted before they are traced. */
const MOST_COUNTED = 64;

interface TracedFunction {
  backend: NodeBackend;
  graph: TracedGraph;
}

class CompiledFunction<A extends unknown[], R> {
  readonly name: string;
  compiled = false;
  private readonly traces = new Map<string, TracedFunction>();
  private readonly calls = new Map<string, number>();
  private readonly maxTraces: number;
  private lastKey: string | null = null;
  private count = 0;

  constructor(
    private readonly fn: (...args: A) => R,
    private readonly options: CompileOptions,
  ) {
    this.name = options.name ?? (fn.name || 'compiled');
    this.maxTraces = options.maxTraces ?? 16;
    if (!(Number.isInteger(this.maxTraces) && this.maxTraces >= 1)) {
      throw new UserError(
        `compile: expected a whole number of at least 1 for maxTraces but received ${this.maxTraces}`,
      );
    }
    registry.register(this, this.traces);
  }

  get size(): number {
    return this.traces.size;
  }

  call(args: A): R {
    const prepared = this.prepare(args);
    return prepared === null ? this.callPlain(args) : (run(prepared) as R);
  }

  async callInBackground(args: A): Promise<R> {
    const prepared = this.prepare(args);
    return prepared === null ? this.callPlain(args) : (runInBackground(prepared) as Promise<R>);
  }

  /** The trace to run and its inputs, made if need be; null where the function is to be called as it is. */
  private prepare(args: A): PreparedCall | null {
    const plain = !(this.options.enabled ?? compiling) || tf.getBackend() !== TENSORFLOW_BACKEND;
    // A compiled function inside another becomes part of it; a gradient needs the operations themselves.
    if (plain || isTracing() || tf.engine().state.gradientDepth > 0) return null;
    const signature = signatureOf(args);
    const stale = this.dropStale(signature.key);
    let known = this.traces.get(signature.key) ?? null;
    if (known === null && (stale || this.isWarm(signature.key)))
      known = this.trace(signature.key, args, stale);
    if (known === null) return null;
    this.traces.delete(signature.key);
    this.traces.set(signature.key, known);
    this.lastKey = signature.key;
    this.compiled = true;
    return { traced: known, inputs: inputsOf(known, this.name, signature.tensors) };
  }

  dispose(): void {
    disposeAll(this.traces);
    this.lastKey = null;
  }

  /** Whether a signature was called often enough to be traced; counts the call if not. */
  private isWarm(key: string): boolean {
    const calls = this.calls.get(key) ?? 0;
    if (calls >= (this.options.warmup ?? 0)) return true;
    this.calls.delete(key);
    this.calls.set(key, calls + 1);
    if (this.calls.size > MOST_COUNTED) this.calls.delete(this.calls.keys().next().value!);
    return false;
  }

  private callPlain(args: A): R {
    this.compiled = false;
    return tf.tidy(() => this.fn(...args) as tf.TensorContainer) as R;
  }

  /** Frees a trace whose frozen variables hold something else now; says which. */
  private dropStale(key: string): string | null {
    const known = this.traces.get(key);
    const changed = known?.graph.frozen.find(({ variable, dataId }) => variable.dataId !== dataId);
    if (!known || !changed) return null;
    known.backend.binding.deleteFunction(known.graph.id);
    this.traces.delete(key);
    return `variable ${changed.variable.name} was assigned`;
  }

  private trace(key: string, args: A, stale: string | null): TracedFunction | null {
    const began = performance.now();
    const backend = tf.backend() as NodeBackend;
    let graph: TracedGraph;
    try {
      graph = trace(backend, this.name, this.fn as (...args: never[]) => unknown, args, {
        frozen: this.options.frozen ?? false,
      });
    } catch (error) {
      if (error instanceof VariableMade) return null;
      throw error;
    }
    this.evict(this.maxTraces - 1);
    this.count++;
    (this.options.onTrace ?? listener)?.({
      name: this.name,
      count: this.count,
      reason: stale ?? (this.lastKey === null ? 'first call' : difference(this.lastKey, key)),
      milliseconds: performance.now() - began,
      nodes: graph.nodes,
      captured: graph.captured,
    });
    return { backend, graph };
  }

  /** Frees traces until no more than `room` are left. */
  private evict(room: number): void {
    for (const [key, { backend, graph }] of this.traces) {
      if (this.traces.size <= room) break;
      backend.binding.deleteFunction(graph.id);
      this.traces.delete(key);
    }
  }
}

/** A call that is ready to run. */
interface PreparedCall {
  traced: TracedFunction;
  inputs: TensorId[];
}

/** What a traced function is given. @throws where something of it is gone */
function inputsOf({ backend, graph }: TracedFunction, name: string, tensors: tf.Tensor[]): TensorId[] {
  const gone =
    graph.reads.find((variable) => variable.isDisposed) ??
    graph.frozen.find(({ variable }) => variable.isDisposed)?.variable;
  if (gone)
    throw new UserError(`${name}: variable ${gone.name}, which the compiled function reads, was disposed`);
  if (tensors.some((tensor) => tensor.isDisposed)) throw new Error('Tensor is disposed.');
  return backend.getInputTensorIds([...tensors, ...graph.reads]);
}

function run({ traced, inputs }: PreparedCall): unknown {
  return finish(traced, traced.backend.binding.runFunction(traced.graph.id, inputs));
}

async function runInBackground({ traced, inputs }: PreparedCall): Promise<unknown> {
  return finish(traced, await traced.backend.binding.startFunction(traced.graph.id, inputs));
}

/** Assigns the variables that a traced function assigns; its result. */
function finish({ backend, graph }: TracedFunction, ids: readonly TensorId[]): unknown {
  const outputs = ids.map((id, i) => {
    const { shape, dtype } = graph.outputs[i]!;
    return backend.createOutputTensor({ id, shape: shape as number[], dtype: TF_DTYPE[dtype] });
  });
  const results = outputs.length - graph.writes.length;
  graph.writes.forEach((variable, i) => {
    const value = outputs[results + i]!;
    if (!variable.isDisposed) variable.assign(value);
    value.dispose();
  });
  return graph.result(outputs);
}
