// SPDX-License-Identifier: Apache-2.0

/**
 * Engines: what computes. `tensorflow` is tfjs-node's kernels over our own binding on any libtensorflow >= 2.16;
 * `wasm` and `cpu` are tfjs's own backends, for where no native code can be had.
 */
export type {
  DeviceInfo,
  OpAttr,
  OpAttrValue,
  TensorMetadata,
  TensorValues,
  TfDtypeName,
} from './binding.js';
export { TF_DTYPE } from './binding.js';
export { withLock } from './cache.js';
export { type DoctorReport, doctor, formatDoctor } from './doctor.js';
export { fileHandler, registerFileHandlers } from './file_io.js';
export { BACKWARD, inScope } from './function/scopes.js';
export { isTracing } from './function/trace.js';
export {
  type Compiled,
  type CompileOptions,
  compile,
  setCompiling,
  setTraceListener,
  type TraceReport,
} from './function.js';
export type { CpuInfo, GpuInfo } from './hardware.js';
export type { Attempt, Source } from './libtensorflow.js';
export { opAttr } from './op_attr.js';
export {
  type NodeProfile,
  type Profile,
  type ProfileOptions,
  type ProfileRow,
  profileFunction,
  sumProfile,
} from './profile.js';
export { currentEngine, hasNativeOps, ready } from './ready.js';
export { alignedFloat32, nativeBinding, type OpInput, runOp } from './run_op.js';
export { dtypeName, type HostTensor, SavedModelSession } from './session.js';
export type { SetupOptions, SetupReport } from './setup.js';
export { describeCuda, setup } from './setup.js';
export { type FunctionGraph, type NodeSpec, traceGraph } from './trace_graph.js';
export { type TracedOp, traceOps } from './trace_ops.js';
export type { EngineId, EngineInfo, OpLibraryInfo, ReadyOptions, TensorFlowInfo } from './types.js';
