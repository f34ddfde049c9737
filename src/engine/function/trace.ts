// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';
import { type TensorId, TF_DTYPE } from '../binding.js';
import type { NodeBackend } from '../kernels.js';
import { FUNCTION_CONFIG } from './config.js';
import { type ResultTemplate, replaceTensors, templateOf, tensorsOf } from './structure.js';
import { callSite } from './user_line.js';

/** Type and shape of an input or output. */
export interface TensorSpec {
  shape: readonly number[];
  dtype: tf.DataType;
}

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
  /** A GraphDef with nodes `argument_*`, `variable_*`, `captured_*` and `result_*`; empty if not asked for. */
  graph: Uint8Array;
}

/** Thrown inside a trace that makes a variable: such a call runs as it is, and the next one is traced. */
export class VariableMade extends Error {}

/** A variable while its function is traced. */
interface Substitution {
  variable: tf.Variable;
  /** What it holds outside. */
  value: tf.DataId;
  /** What stands for that inside. */
  symbol: tf.DataId;
}

let tracing = false;

/** Whether a function is being traced now. */
export function isTracing(): boolean {
  return tracing;
}

/** TensorFlow.js's engine, as far as a trace has to put it back as it was. */
type EngineState = ReturnType<typeof tf.engine>['state'];

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
  withGraph = false,
): TracedGraph {
  const { binding } = backend;
  const engine = tf.engine();
  const session = new TraceSession(backend, engine.state);
  const stackLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  tracing = true;
  binding.traceBegin();
  engine.startScope('compile');
  try {
    const specs: TensorSpec[] = [];
    const symbols = replaceTensors(args, (tensor) => {
      specs.push({ shape: [...tensor.shape], dtype: tensor.dtype });
      return session.argument(tensor);
    }) as never[];
    session.substitute();
    const result = fn(...symbols);
    session.checkReads();
    if (result instanceof Promise) {
      throw new UserError(`${name}: a compiled function must not be async; it returned a promise`);
    }
    const tensors = tensorsOf(result);
    const writes = session.assigned();
    const outputs = [...tensors, ...writes];
    const ids = backend.getInputTensorIds(outputs);
    session.checkKept(name);
    const { id, variables, ...counts } = binding.traceFinish(nodeName(name), ids, withGraph, FUNCTION_CONFIG);
    return {
      id,
      arguments: specs,
      reads: variables.map((number) => session.variable(number)),
      outputs: outputs.map(({ shape, dtype }) => ({ shape: [...shape], dtype })),
      writes,
      result: templateOf(result),
      ...counts,
    };
  } catch (error) {
    throw explain(name, session.readError ?? error);
  } finally {
    binding.traceAbort();
    tracing = false;
    Error.stackTraceLimit = stackLimit;
    session.restore();
    engine.endScope();
  }
}

/** What TensorFlow takes as the name of a function. */
function nodeName(name: string): string {
  return `tfgeo_${name.replace(/[^A-Za-z0-9_]/g, '_')}`;
}

/** What a trace changes in TensorFlow.js's engine and puts back. */
class TraceSession {
  /** The first attempt to read asynchronously: its promise must not fail behind the program's back. */
  readError: Error | null = null;
  private readonly substitutions: Substitution[] = [];
  private readonly kept: tf.Tensor[] = [];
  private readonly before: Pick<EngineState, 'gradientDepth' | 'kernelDepth' | 'activeTape'>;
  private readonly scopes: number;
  private readonly release: () => void;

  constructor(
    private readonly backend: NodeBackend,
    private readonly state: EngineState,
  ) {
    const { gradientDepth, kernelDepth, activeTape, scopeStack } = state;
    this.before = { gradientDepth, kernelDepth, activeTape };
    this.scopes = scopeStack.length;
    this.release = this.watch();
  }

  argument(tensor: tf.Tensor): tf.Tensor {
    const { shape, dtype } = tensor;
    const id = this.backend.binding.traceArgument(shape, TF_DTYPE[dtype]);
    return this.symbol(id, tensor);
  }

  /** Puts a symbol into every variable, so that reads become inputs and assignments outputs. */
  substitute(): void {
    for (const variable of Object.values(tf.engine().registeredVariables)) {
      const id = this.backend.binding.traceVariable(variable.shape, TF_DTYPE[variable.dtype]);
      const symbol = this.symbol(id, variable).dataId;
      this.backend.incRef(symbol);
      this.substitutions.push({ variable, value: variable.dataId, symbol });
      variable.dataId = symbol;
    }
  }

  variable(number: number): tf.Variable {
    return this.substitutions[number]!.variable;
  }

  /** Variables that hold something else than at the start. */
  assigned(): tf.Variable[] {
    return this.substitutions
      .filter(({ variable, symbol }) => variable.dataId !== symbol && !variable.isDisposed)
      .map(({ variable }) => variable);
  }

  checkReads(): void {
    if (this.readError) throw this.readError;
  }

  /** A tensor that is kept has a value only inside the function, so whoever kept it would be misled. */
  checkKept(name: string): void {
    const outlive = this.kept.filter((tensor) => this.isSymbolic(tensor));
    if (outlive.length === 0) return;
    const { dtype, shape } = outlive[0]!;
    throw new UserError(
      `${name}: ${outlive.length} tensor(s) made while tracing are kept (tf.keep), the first ${dtype}[${shape}]; ` +
        'return them as results, or make them before the call',
    );
  }

  restore(): void {
    this.release();
    const engine = tf.engine();
    // Scopes that an error left open hold only what belongs to the trace.
    while (this.state.scopeStack.length > this.scopes + 1) engine.endScope();
    Object.assign(this.state, this.before);
    for (const { variable, value } of this.substitutions) {
      if (variable.isDisposed) continue;
      engine.disposeTensor(variable);
      variable.dataId = value;
      engine.trackTensor(variable, this.backend);
    }
    for (const tensor of this.kept) if (this.isSymbolic(tensor)) tensor.dispose();
  }

  private isSymbolic(tensor: tf.Tensor): boolean {
    if (tensor.isDisposed) return false;
    return this.backend.binding.isSymbolic(this.backend.getInputTensorIds([tensor])[0]!);
  }

  private symbol(id: TensorId, { shape, dtype }: TensorSpec): tf.Tensor {
    return this.backend.createOutputTensor({ id, shape: [...shape], dtype: TF_DTYPE[dtype] });
  }

  /** Watches what is kept and made; returns what ends that. */
  private watch(): () => void {
    const engine = tf.engine();
    const { keep } = engine;
    const { makeVariable } = engine;
    engine.keep = (tensor) => {
      this.kept.push(tensor);
      return keep.call(engine, tensor) as typeof tensor;
    };
    engine.makeVariable = () => {
      throw new VariableMade();
    };
    this.backend.onSymbolicRead = (error) => {
      this.readError ??= error;
    };
    return () => {
      engine.keep = keep;
      engine.makeVariable = makeVariable;
      this.backend.onSymbolicRead = null;
    };
  }
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
