// SPDX-License-Identifier: Apache-2.0
import type { DeviceInfo } from './binding.js';
import type { Attempt, Source } from './libtensorflow.js';

/** Engine ids; each is also the name of its tfjs backend. */
export type EngineId = 'tensorflow' | 'wasm' | 'cpu';

export interface ReadyOptions {
  /** 'auto' (default) takes the best that works; a name takes that one or throws. */
  engine?: 'auto' | EngineId;
  /** Threads inside one op; default: all cores. Only the first call of a process can set it. */
  intraThreads?: number;
  /** Ops at a time inside one function; default 2, or 1 on a single core. */
  interThreads?: number;
  /** What TensorFlow prints: 0 everything, 1 warnings, 2 errors (default), 3 fatal errors only. */
  logLevel?: 0 | 1 | 2 | 3;
  /** Whether to download and compile what is missing (default true); says so in a line on stderr. */
  setup?: boolean;
}

/** The engine in use. */
export interface EngineInfo {
  engine: EngineId;
  /** Why it was chosen, in a phrase. */
  reason: string;
  /** Present on engine `tensorflow`. */
  tensorflow: TensorFlowInfo | null;
  /** Every libtensorflow that was considered. */
  attempts: Attempt[];
}

export interface TensorFlowInfo {
  version: string;
  source: Source;
  folder: string;
  intraThreads: number;
  interThreads: number;
  devices: DeviceInfo[];
  usesGpu: boolean;
  /** tfgeo's own operators, or why they are not there. */
  opLibrary: OpLibraryInfo | { path: null; reason: string };
}

export interface OpLibraryInfo {
  path: string;
  /** The package's own build, or the library that this setting names. */
  from: 'prebuilt' | 'cache' | 'built' | 'TFGEO_OP_LIBRARY';
  /** Names of the registered ops. */
  ops: string[];
}
