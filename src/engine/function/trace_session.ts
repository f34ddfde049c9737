// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';
import { type TensorId, TF_DTYPE } from '../binding.js';
import type { NodeBackend } from '../kernels.js';

/** Type and shape of an input or output. */
export interface TensorSpec {
  shape: readonly number[];
  dtype: tf.DataType;
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

/** TensorFlow.js's engine, as far as a trace has to put it back as it was. */
type EngineState = ReturnType<typeof tf.engine>['state'];

/** What a trace changes in TensorFlow.js's engine and puts back. */
export class TraceSession {
  /** The first attempt to read asynchronously: its promise must not fail behind the program's back. */
  readError: Error | null = null;
  private readonly substitutions: Substitution[] = [];
  private readonly kept: tf.Tensor[] = [];
  /** What ops were given. */
  private readData = new WeakSet<tf.DataId>();
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

  /**
   * Puts a symbol into every variable, so that reads become inputs and assignments outputs.
   * @param frozen leaves the values in them, so that they are constants
   */
  substitute(frozen: boolean): void {
    const variables = Object.values(tf.engine().registeredVariables);
    // Moves values to this backend that lie on another one.
    this.backend.getInputTensorIds(variables);
    this.readData = new WeakSet();
    for (const variable of variables) {
      const value = variable.dataId;
      let symbol = value;
      if (!frozen) {
        const id = this.backend.binding.traceVariable(variable.shape, TF_DTYPE[variable.dtype]);
        symbol = this.symbol(id, variable).dataId;
      }
      this.backend.incRef(symbol);
      this.substitutions.push({ variable, value, symbol });
      variable.dataId = symbol;
    }
  }

  /** Variables that were read, where they are constants. */
  get frozenReads(): tf.Variable[] {
    return this.substitutions.filter(({ value }) => this.readData.has(value)).map(({ variable }) => variable);
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
    for (const { variable, value, symbol } of this.substitutions) {
      if (variable.isDisposed) continue;
      if (variable.dataId === value) {
        this.backend.disposeData(symbol);
        continue;
      }
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
    const { getInputTensorIds } = this.backend;
    engine.keep = (tensor) => {
      this.kept.push(tensor);
      return keep.call(engine, tensor) as typeof tensor;
    };
    engine.makeVariable = () => {
      throw new VariableMade();
    };
    this.backend.getInputTensorIds = (tensors) => {
      for (const { dataId } of tensors) if (dataId) this.readData.add(dataId);
      return getInputTensorIds.call(this.backend, tensors);
    };
    this.backend.onSymbolicRead = (error) => {
      this.readError ??= error;
    };
    return () => {
      engine.keep = keep;
      engine.makeVariable = makeVariable;
      this.backend.getInputTensorIds = getInputTensorIds;
      this.backend.onSymbolicRead = null;
    };
  }
}
