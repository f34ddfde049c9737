// SPDX-License-Identifier: Apache-2.0

/** What a manifest says about one tensor. Outputs without `tol` are integers and must be equal. */
export interface TensorInfo {
  shape: number[];
  err?: number;
  tol?: number;
}

/** One case of a manifest; areas add keys of their own (`cost`, `stats`, ...). */
export interface ParityCase {
  name: string;
  about?: string;
  config: Record<string, unknown>;
  files: string[];
  kind?: string;
  tensors?: Record<string, TensorInfo>;
  [key: string]: unknown;
}

/** A folder with a `manifest.json`. */
export interface ParityArea {
  name: string;
  dir: string;
  cases: ParityCase[];
}

/** One value of a case that was compared. `error / tol` is the ratio; a fact that is right or wrong has tol 0. */
export interface Comparison {
  tensor: string;
  error: number;
  tol: number;
  /** Set where the failure needs words: a wrong shape, a value that was expected to be refused, ... */
  note?: string;
}

/** Outcome of a case on one path through the library. */
export interface CaseResult {
  area: string;
  name: string;
  kind: string;
  /** Variant of the library that ran, e.g. `native`; empty where there is only one. */
  path: string;
  passed: boolean;
  /** The comparison with the largest error in units of its tolerance; null if nothing was compared. */
  worst: Comparison | null;
  compared: number;
  /** Why it failed, one line; empty when it passed. */
  reason: string;
  seconds: number;
}
