// SPDX-License-Identifier: Apache-2.0

/**
 * The native addon's interface: the mirror of `csrc/node/addon.cc`'s export table. Its first half is what
 * the TensorFlow.js Node kernels call; ids are opaque handles of tensors and SavedModels.
 */

/** An id of a tensor that TensorFlow holds. */
export type TensorId = number;

/** One output of an op. */
export interface TensorMetadata {
  id: TensorId;
  shape: number[];
  /** TensorFlow's DataType number. */
  dtype: number;
}

/** One attribute of an op; build them with {@link opAttr}. */
export interface OpAttr {
  readonly name: string;
  /** TensorFlow's attribute kind, see `TF_ATTR`. */
  readonly type: number;
  readonly value: OpAttrValue;
}

export type OpAttrValue =
  | string
  | number
  | bigint
  | boolean
  | readonly string[]
  | readonly number[]
  | readonly boolean[]
  | readonly (readonly number[])[];

export type TensorValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Uint8Array[]
  | string[];

/** A tensor's contents outside TensorFlow. */
export interface SessionOutput {
  /** TensorFlow's DataType number. */
  dtype: number;
  shape: number[];
  value: TensorValues;
}

export interface SessionInput extends SessionOutput {
  name: string;
}

export interface DeviceInfo {
  name: string;
  /** "CPU", "GPU", ... */
  type: string;
  memoryBytes: number;
}

/** What the TensorFlow.js Node kernels need of a binding. */
export interface TfjsBinding {
  createTensor(shape: readonly number[], dtype: number, values: TensorValues): TensorId;
  deleteTensor(id: TensorId): void;
  tensorDataSync(id: TensorId): TensorValues;
  executeOp(
    name: string,
    attrs: readonly OpAttr[],
    inputs: readonly TensorId[],
    outputs: number,
  ): TensorMetadata[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(
    id: number,
    inputs: readonly TensorId[],
    inputNames: string,
    outputNames: string,
  ): TensorMetadata[];
  getNumOfSavedModels(): number;
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
}

/** The whole addon. */
export interface NativeBinding extends TfjsBinding {
  /** Starts the process's TensorFlow context; the first call decides. Returns the [intra, inter] in force. */
  startContext(intraThreads: number, interThreads: number): [number, number];
  listDevices(): DeviceInfo[];
  /** Loads a library of ops once per process; returns its serialized tensorflow.OpList. */
  loadOpLibrary(path: string): Uint8Array;
  /** Every op of the process as a serialized tensorflow.OpList. */
  opDefinitions(): Uint8Array;
  /** Runs a SavedModel beside the JavaScript thread; `name:0` names a tensor of its graph. */
  runSession(
    id: number,
    inputs: readonly SessionInput[],
    outputs: readonly string[],
  ): Promise<SessionOutput[]>;
  /** Zeroed memory that becomes a tensor without a copy. */
  allocate(bytes: number): ArrayBuffer;

  /**
   * From now on ops on symbolic tensors become nodes of a graph. One function at a time.
   * @param mostConstantBytes larger constants are inputs that the function keeps
   * @param beside all constants are such inputs, unless they may say something about shapes, and equal ones stay apart
   * @param inputs tensors that are inputs in any case; with `beside`
   */
  traceBegin(mostConstantBytes: number, beside: boolean, inputs: readonly TensorId[]): void;
  /** An argument of the function that is being traced. */
  traceArgument(shape: readonly number[], dtype: number): TensorId;
  /** A variable: an input of the function if anything reads it. */
  traceVariable(shape: readonly number[], dtype: number): TensorId;
  /** What stands before the names of nodes from now on; empty = nothing. */
  traceScope(scope: string): void;
  /**
   * Registers the function that computes `outputs`; ends the trace.
   * @param withGraph whether to serialize the graph
   * @param config a serialized tensorflow.ConfigProto
   */
  traceFinish(
    name: string,
    outputs: readonly TensorId[],
    withGraph: boolean,
    config: Uint8Array,
  ): TracedFunction;
  /** Forgets the function that is being traced, if any. */
  traceAbort(): void;
  /** Whether a tensor was made by a trace and has no value. */
  isSymbolic(id: TensorId): boolean;
  /** @param inputs arguments, then variables */
  runFunction(id: number, inputs: readonly TensorId[]): TensorId[];
  /** The same beside the JavaScript thread. Inputs may be freed at once. */
  startFunction(id: number, inputs: readonly TensorId[]): Promise<TensorId[]>;
  deleteFunction(id: number): void;
  getNumOfFunctions(): number;
  /**
   * Runs a serialized GraphDef `runs` times plain and `runs` times with statistics, after two runs that count for nothing.
   * @param config a serialized tensorflow.ConfigProto
   */
  profileGraph(
    graph: Uint8Array,
    config: Uint8Array,
    inputNames: readonly string[],
    inputs: readonly TensorId[],
    outputNames: readonly string[],
    runs: number,
  ): GraphProfile;
}

/** What `profileGraph` gives. */
export interface GraphProfile {
  /** Of the plain runs. */
  milliseconds: number[];
  /** Serialized tensorflow.RunMetadata of the others. */
  metadata: Uint8Array[];
}

/** What `traceFinish` gives. */
export interface TracedFunction {
  id: number;
  /** Which variables are read, by the order of `traceVariable`; as inputs they follow the arguments. */
  variables: number[];
  nodes: number;
  constants: number;
  /** Tensors that the function keeps as inputs of its own. */
  captured: number;
  /** A GraphDef, and its nodes of the arguments, the variables and captured tensors, and the results; empty if not asked for. */
  graph: Uint8Array;
  inputNames: string[];
  outputNames: string[];
  /** What its captured tensors hold, each a new tensor, with the id that it was captured by; empty without the graph. */
  values: (TensorMetadata & { source: TensorId })[];
}

/** The loader addon, `csrc/node/loader.cc`. */
export interface LoaderBinding {
  /** @param quiet leave out what the library says while it is being opened, errors apart. */
  openGlobal(path: string, quiet: boolean): void;
  setEnv(name: string, value: string): void;
  setLogLevel(level: number): boolean;
  /** Opens a library for itself and calls its function `const char* name(void)`; null if it has none of that name. */
  libraryText(path: string, name: string): string | null;
}

/** TensorFlow's DataType numbers by name. */
export const TF_DTYPE = {
  float32: 1,
  float64: 2,
  int32: 3,
  uint8: 4,
  int16: 5,
  int8: 6,
  string: 7,
  complex64: 8,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  float16: 19,
  resource: 20,
} as const;

export type TfDtypeName = keyof typeof TF_DTYPE;

/** TensorFlow's attribute kinds (TF_AttrType). */
export const TF_ATTR = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;
