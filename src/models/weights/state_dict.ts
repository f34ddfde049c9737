// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { Module, Parameter, ParameterLayout } from '../module.js';
import type { StoredTensor, TensorData } from './safetensors.js';

/**
 * Name in the module of a tensor of the file, or null if the module knowingly has no use for it. A list names several
 * places that share one stored tensor.
 */
export type Rename = (nameInFile: string) => string | readonly string[] | null;

export interface LoadOptions {
  /** Refuse unless every parameter is found, every tensor used, and every shape right (default true). */
  strict?: boolean;
  /** Parameters that keep their values, and are only reported, if the file lacks them (default: none). */
  mayLack?: (name: string) => boolean;
  /** Name map of the model (default: names are equal). */
  rename?: Rename;
  /** What messages call the tensors' origin. */
  source?: string;
}

export interface ShapeMismatch {
  name: string;
  /** Shapes as files hold them. */
  expected: number[];
  received: number[];
}

/** What became of every name. Names are the module's, except for `unexpected` and `ignored`, which are the file's. */
export interface LoadReport {
  matched: string[];
  missing: string[];
  unexpected: string[];
  mismatched: ShapeMismatch[];
  /** Left out on purpose by the name map. */
  ignored: string[];
}

/**
 * Gives a module the values of a file. Everything is checked before the first value is set, so that a refusal leaves the
 * module as it was. Parameters that share one variable need only one of their names.
 *
 * @param tensors by name, in the reference's layouts (PyTorch's)
 * @throws UserError (exit code `checkpoint`) if strict and anything differs, and always for NaN or infinite values
 */
export function loadStateDict(
  module: Module,
  tensors: ReadonlyMap<string, StoredTensor>,
  options: LoadOptions = {},
): LoadReport {
  const source = options.source ?? ('source' in tensors ? String(tensors.source) : 'the weights');
  const { report, found } = compare(module.namedParameters(), tensors, options.rename ?? ((name) => name));
  if (options.strict ?? true) refuseDifferences(report, source, options.mayLack ?? (() => false));
  const values = [...found].map(([name, { parameter, stored }]) => ({
    variable: parameter.variable,
    data: convert(name, stored, parameter, source),
  }));
  for (const { variable, data } of values) {
    tf.tidy(() => variable.assign(tf.tensor(data, variable.shape, variable.dtype as 'float32' | 'int32')));
  }
  return report;
}

interface Found {
  parameter: Parameter;
  stored: StoredTensor;
}

function compare(
  parameters: Map<string, Parameter>,
  tensors: ReadonlyMap<string, StoredTensor>,
  rename: Rename,
): { report: LoadReport; found: Map<string, Found> } {
  const report: LoadReport = { matched: [], missing: [], unexpected: [], mismatched: [], ignored: [] };
  const found = new Map<string, Found>();
  for (const [nameInFile, stored] of tensors) {
    const renamed = rename(nameInFile);
    if (renamed === null) report.ignored.push(nameInFile);
    const names = renamed === null ? [] : typeof renamed === 'string' ? [renamed] : renamed;
    for (const name of names) {
      const parameter = parameters.get(name);
      if (!parameter) {
        report.unexpected.push(nameInFile);
        continue;
      }
      const expected = storedShape(parameter.variable.shape, parameter.layout);
      if (!sameShape(expected, stored.shape)) {
        report.mismatched.push({ name, expected, received: [...stored.shape] });
        continue;
      }
      report.matched.push(name);
      found.set(name, { parameter, stored });
    }
  }
  const settled = new Set(
    [...report.matched, ...report.mismatched.map(({ name }) => name)].map(
      (name) => parameters.get(name)!.variable,
    ),
  );
  for (const [name, { variable }] of parameters) {
    if (!settled.has(variable)) report.missing.push(name);
  }
  return { report, found };
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

function refuseDifferences(report: LoadReport, source: string, mayLack: (name: string) => boolean): void {
  const missing = report.missing.filter((name) => !mayLack(name));
  const parts: string[] = [];
  const list = (names: string[]) => `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''}`;
  if (report.mismatched.length > 0) {
    const shown = report.mismatched.map(
      ({ name, expected, received }) => `${name} is [${received}] where the model has [${expected}]`,
    );
    parts.push(`${report.mismatched.length} of another shape (${list(shown)})`);
  }
  if (missing.length > 0) parts.push(`${missing.length} missing (${list(missing)})`);
  if (report.unexpected.length > 0) {
    parts.push(`${report.unexpected.length} unknown (${list(report.unexpected)})`);
  }
  if (parts.length === 0) return;
  throw new UserError(
    `${source} does not fit the model: ${parts.join('; ')}; use the configuration it was made with`,
    EXIT_CODES.checkpoint,
  );
}

/** Values in the module's layout and type. */
function convert(
  name: string,
  stored: StoredTensor,
  { variable, layout }: Parameter,
  source: string,
): Float32Array | Int32Array {
  const integral = variable.dtype === 'int32';
  const plain = integral ? toInt32(name, stored.data, source) : toFloat32(stored.data);
  if (plain instanceof Float32Array) {
    const bad = plain.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new UserError(
        `${source}: tensor ${name} holds ${plain[bad]} at place ${bad}; the weights are damaged, use another checkpoint`,
        EXIT_CODES.checkpoint,
      );
    }
  }
  return layout === 'same' ? plain : permute(plain, stored.shape, TO_OWN[layout]);
}

function toFloat32(data: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}

function toInt32(name: string, data: TensorData, source: string): Int32Array {
  if (data instanceof Int32Array) return data;
  const result = Int32Array.from(data as ArrayLike<number | bigint>, Number);
  const lost = result.findIndex((value, i) => value !== Number(data[i]));
  if (lost >= 0) {
    throw new UserError(
      `${source}: tensor ${name} holds ${data[lost]}, which is no 32-bit whole number`,
      EXIT_CODES.checkpoint,
    );
  }
  return result;
}

// ---- Layouts ----

/** Axes of the file's tensor in the order of the module's. */
const TO_OWN = { conv: [2, 3, 1, 0], depthwise: [2, 3, 0, 1] } as const;

/** Shape in the file of a parameter of `shape`. */
function storedShape(shape: readonly number[], layout: ParameterLayout): number[] {
  if (layout === 'same') return [...shape];
  const [height, width, input, output] = shape as [number, number, number, number];
  return layout === 'conv' ? [output, input, height, width] : [input * output, 1, height, width];
}

/** @param axes axis of `data` that each axis of the result comes from */
function permute<T extends Float32Array | Int32Array>(
  data: T,
  shape: readonly number[],
  axes: readonly number[],
): T {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const sizes = axes.map((axis) => shape[axis]!) as [number, number, number, number];
  const steps = axes.map((axis) => strides[axis]!) as [number, number, number, number];
  const result = data.slice() as T;
  let next = 0;
  for (let a = 0; a < sizes[0]; a++) {
    for (let b = 0; b < sizes[1]; b++) {
      for (let c = 0; c < sizes[2]; c++) {
        const base = a * steps[0] + b * steps[1] + c * steps[2];
        for (let d = 0; d < sizes[3]; d++) result[next++] = data[base + d * steps[3]]!;
      }
    }
  }
  return result;
}

/**
 * All values of a module under the reference's names and in its layouts, as `loadStateDict` and PyTorch take them.
 * A variable that has several names is given once, under the first.
 *
 * @param rename name in the file of a parameter (default: the same)
 */
export function saveStateDict(
  module: Module,
  rename: (name: string) => string = (name) => name,
): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  const seen = new Set<tf.Variable>();
  for (const [name, { variable, layout }] of module.namedParameters()) {
    if (seen.has(variable)) continue;
    seen.add(variable);
    result.set(rename(name), storeTensor(variable, layout));
  }
  return result;
}

/** A tensor as a file holds it: axes in PyTorch's order. */
export function storeTensor(tensor: tf.Tensor, layout: ParameterLayout): StoredTensor {
  const data = tensor.dataSync() as Float32Array | Int32Array;
  const shape = storedShape(tensor.shape, layout);
  const dtype = tensor.dtype === 'int32' ? 'I32' : 'F32';
  // The reverse of [2, 3, 1, 0] is [3, 2, 0, 1]; for depthwise kernels [kh, kw, in, mult] it is [2, 3, 0, 1].
  const axes = layout === 'conv' ? [3, 2, 0, 1] : [2, 3, 0, 1];
  return { dtype, shape, data: layout === 'same' ? data : permute(data, tensor.shape, axes) };
}
