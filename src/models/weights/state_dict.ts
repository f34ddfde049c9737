// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { Module, Parameter, ParameterLayout, Table } from '../module.js';
import { fromArranged, shapeInFile, toArranged } from './arrangement.js';
import { type NameMap, type PlaceInFile, SAME_NAMES, type ShapeOf, shapeLookup } from './name_map.js';
import type { StoredTensor, TensorData } from './safetensors.js';

export interface LoadOptions {
  /** Refuse unless every parameter is found, every tensor used, and every shape right (default true). */
  strict?: boolean;
  /** Parameters that keep their values, and are only reported, if the file lacks them (default: none). */
  mayLack?: (name: string) => boolean;
  /** How the file names things (default: as the module does). */
  names?: NameMap;
  /** What messages call the tensors' origin. */
  source?: string;
}

export interface ShapeMismatch {
  name: string;
  /** The file's. */
  nameInFile: string;
  /** Shapes as files hold them. */
  expected: number[];
  received: number[];
}

/** A tensor of the file that is left out on purpose. */
export interface IgnoredTensor {
  /** The file's. */
  name: string;
  why: string;
}

/** What became of every name. Names are the module's, except for `unexpected` and `ignored`, which are the file's. */
export interface LoadReport {
  matched: string[];
  missing: string[];
  unexpected: string[];
  mismatched: ShapeMismatch[];
  ignored: IgnoredTensor[];
  /** The tensor of the file that each name of `matched` and `mismatched` comes from. */
  origins: Map<string, string>;
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
  const { report, found } = compareStateDict(module, tensors, options);
  if (options.strict ?? true) refuseDifferences(report, source, options);
  const values = [...found].map(([name, { parameter, stored }]) => ({
    nameInFile: report.origins.get(name)!,
    variable: parameter.variable,
    data: convert(report.origins.get(name)!, stored, parameter, source),
  }));
  refuseDisagreement(values, source);
  for (const { variable, data } of values) {
    tf.tidy(() => variable.assign(tf.tensor(data, variable.shape, variable.dtype as 'float32' | 'int32')));
  }
  return report;
}

interface Found {
  parameter: Parameter;
  stored: StoredTensor;
}

interface Comparison {
  report: LoadReport;
  /** What would be loaded, by the module's names. */
  found: Map<string, Found>;
}

/** What `loadStateDict` would make of a file; changes nothing. */
export function compareStateDict(
  module: Module,
  tensors: ReadonlyMap<string, StoredTensor>,
  { names = SAME_NAMES }: Pick<LoadOptions, 'names'> = {},
): Comparison {
  const parameters = module.namedParameters();
  const usesOf = findUses(names, parameters.keys());
  const report: LoadReport = {
    matched: [],
    missing: [],
    unexpected: [],
    mismatched: [],
    ignored: [],
    origins: new Map(),
  };
  const found = new Map<string, Found>();
  for (const [nameInFile, whole] of tensors) {
    const uses = usesOf(nameInFile);
    if ('why' in uses) report.ignored.push({ name: nameInFile, why: uses.why });
    else if (uses.places.length === 0) report.unexpected.push(nameInFile);
    for (const { name, part, arrangement } of 'why' in uses ? [] : uses.places) {
      const parameter = parameters.get(name)!;
      const expected = storedShape(parameter.variable.shape, parameter.layout);
      const inFile = shapeInFile(expected, arrangement);
      const stored = part ? partOf(whole, part) : whole;
      report.origins.set(name, nameInFile);
      if (stored === null || !sameShape(inFile, stored.shape)) {
        const needed = part ? [expected[0]! * part.count, ...expected.slice(1)] : inFile;
        report.mismatched.push({ name, nameInFile, expected: needed, received: [...whole.shape] });
        continue;
      }
      report.matched.push(name);
      const own = arrangement ? fromArranged(stored, expected, arrangement) : stored;
      found.set(name, { parameter, stored: own });
    }
  }
  const settled = new Set([...report.origins.keys()].map((name) => parameters.get(name)!.variable));
  for (const [name, { variable }] of parameters) {
    if (!settled.has(variable)) report.missing.push(name);
  }
  return { report, found };
}

/** A parameter that a tensor of the file is for: `name` is the module's. */
type Use = PlaceInFile;

type UsesOf = (nameInFile: string) => { places: readonly Use[] } | { why: string };

function findUses(map: NameMap, ownNames: Iterable<string>): UsesOf {
  const places = new Map<string, Use[]>();
  for (const own of ownNames) {
    const { name, ...rest } = map.place(own);
    const uses = places.get(name) ?? [];
    uses.push({ ...rest, name: own });
    places.set(name, uses);
  }
  return (nameInFile) => {
    const known = places.get(nameInFile);
    const dropped = known ? undefined : map.dropped.find(({ names }) => names.test(nameInFile));
    return dropped ? { why: dropped.why } : { places: known ?? [] };
  };
}

/** Rows of a tensor, without copying; null if it cannot be cut so. */
function partOf(
  whole: StoredTensor,
  { index, count }: NonNullable<PlaceInFile['part']>,
): StoredTensor | null {
  const [rows, ...rest] = whole.shape;
  if (rows === undefined || rows % count !== 0) return null;
  const size = whole.data.length / count;
  return {
    ...whole,
    shape: [rows / count, ...rest],
    data: whole.data.subarray(index * size, (index + 1) * size),
  };
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

function refuseDifferences(report: LoadReport, source: string, { mayLack, names }: LoadOptions): void {
  const missing = report.missing.filter((name) => !(mayLack?.(name) ?? false));
  const parts: string[] = [];
  const list = (texts: string[]) => `${texts.slice(0, 3).join(', ')}${texts.length > 3 ? ', ...' : ''}`;
  if (report.mismatched.length > 0) {
    const shown = report.mismatched.map(
      ({ nameInFile, expected, received }) =>
        `${nameInFile} is [${received}] where the model has [${expected}]`,
    );
    parts.push(`${report.mismatched.length} of another shape (${list(shown)})`);
  }
  if (missing.length > 0) {
    const inFile = [...new Set(missing.map((name) => names?.place(name).name ?? name))];
    parts.push(`${inFile.length} missing (${list(inFile)})`);
  }
  if (report.unexpected.length > 0) {
    parts.push(`${report.unexpected.length} unknown (${list(report.unexpected)})`);
  }
  if (parts.length === 0) return;
  throw new UserError(
    `${source} does not fit the model: ${parts.join('; ')}; use the configuration it was made with`,
    EXIT_CODES.checkpoint,
  );
}

interface NewValue {
  nameInFile: string;
  variable: tf.Variable;
  data: Float32Array | Int32Array;
}

/** Parameters that share a variable must be given the same values. */
function refuseDisagreement(values: readonly NewValue[], source: string): void {
  const first = new Map<tf.Variable, NewValue>();
  for (const value of values) {
    const before = first.get(value.variable);
    first.set(value.variable, before ?? value);
    if (!before || before.data.every((x, i) => x === value.data[i])) continue;
    throw new UserError(
      `${source}: ${value.nameInFile} differs from ${before.nameInFile}, but they are one and the same in the model; ` +
        'use the configuration it was made with',
      EXIT_CODES.checkpoint,
    );
  }
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
    const bad = firstNotFinite(plain);
    if (bad >= 0) {
      throw new UserError(
        `${source}: tensor ${name} holds ${plain[bad]} at place ${bad}; the weights are damaged, use another checkpoint`,
        EXIT_CODES.checkpoint,
      );
    }
  }
  return layout === 'same' ? plain : permute(plain, stored.shape, TO_OWN[layout]);
}

/** The first place of NaN or of an infinity, -1 if there is none. */
function firstNotFinite(values: Float32Array): number {
  // A plain loop, for networks have hundreds of millions of values. Of finite ones alone the difference to themselves is 0.
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value !== 0) return i;
  }
  return -1;
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

/** How `saveStateDict` writes a module. */
export interface SaveOptions {
  /** How the file names things (default: as the module does). */
  names?: NameMap;
  /** Write a variable that has several names under each of them, as PyTorch does (default: under the first). */
  everyName?: boolean;
}

/** All values of a module in the reference's layouts, as `loadStateDict` and PyTorch take them, and the tables that it keeps. */
export function saveStateDict(
  module: Module,
  { names = SAME_NAMES, everyName = false }: SaveOptions = {},
): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  const parts = new Map<string, StoredTensor[]>();
  const seen = new Map<tf.Variable, StoredTensor>();
  for (const [own, { variable, layout }] of module.namedParameters()) {
    if (seen.has(variable) && !everyName) continue;
    const { name, part, arrangement } = names.place(own);
    const stored = seen.get(variable) ?? storeTensor(variable, layout);
    seen.set(variable, stored);
    if (!part) {
      result.set(name, arrangement ? toArranged(stored, arrangement) : stored);
      continue;
    }
    const packed = parts.get(name) ?? [];
    packed[part.index] = stored;
    parts.set(name, packed);
    result.set(name, stored);
  }
  for (const [name, packed] of parts) result.set(name, joinRows(packed));
  for (const [own, make] of names.keeps ? module.namedTables() : []) {
    const kept = names.keeps?.(own, make());
    if (kept) result.set(names.place(own).name, storeTable(kept));
  }
  for (const [name, tensor] of names.unused?.(shapesOf(module)) ?? [])
    if (!result.has(name)) result.set(name, tensor);
  return result;
}

function storeTable({ shape, data }: Table): StoredTensor {
  return { dtype: data instanceof BigInt64Array ? 'I64' : 'F32', shape, data };
}

function shapesOf(module: Module): ShapeOf {
  const parameters = module.namedParameters();
  return shapeLookup((name) => {
    const parameter = parameters.get(name);
    return parameter ? storedShape(parameter.variable.shape, parameter.layout) : null;
  });
}

/** Tensors one below the other. */
function joinRows(parts: readonly StoredTensor[]): StoredTensor {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  const [first] = parts as [StoredTensor];
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  return { ...first, shape: [rows, ...first.shape.slice(1)], data };
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
