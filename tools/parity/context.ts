// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../src/engine/index.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { readSafetensorsSync, type StoredTensor } from '../../src/models/weights/safetensors.js';
import { compareTensor, type Got } from './compare.js';
import type { Comparison, ParityArea, ParityCase } from './types.js';

/** Names with these beginnings are given, not results. */
const GIVEN = /^(in|weights|start)\//;

/** What a runner sees of its case: stored tensors in, comparisons out. Whatever it leaves out fails the case. */
export class CaseContext {
  readonly comparisons: Comparison[] = [];
  readonly config: Record<string, unknown>;
  private readonly stored = new Map<string, StoredTensor>();
  private readonly precise = new Map<string, StoredTensor>();
  private readonly settled = new Set<string>();
  private readonly variables: tf.Variable[] = [];
  private readonly functions: { dispose(): void }[] = [];

  constructor(
    readonly area: ParityArea,
    readonly entry: ParityCase,
    /** Variant to run; the empty string where a kind has only one. */
    readonly path: string,
    /** Whether the library's functions are compiled. */
    readonly compiled = false,
  ) {
    this.config = entry.config;
    for (const file of entry.files) {
      if (!file.endsWith('.safetensors') || file.includes('.weights.') || this.belongsToModel(file)) continue;
      const into = file.endsWith('.float64.safetensors') ? this.precise : this.stored;
      for (const [name, tensor] of readSafetensorsSync(this.file(file))) into.set(name, tensor);
    }
  }

  // ---- What is given ----

  /** Absolute path of a file of the case. */
  file(name: string): string {
    return join(this.area.dir, name);
  }

  /** The case's file that ends like this. */
  fileLike(ending: string): string {
    const found = this.entry.files.find((name) => name.endsWith(ending));
    if (!found) throw new UserError(`expected a file ${ending} among the case's files`, EXIT_CODES.data);
    return this.file(found);
  }

  json<T>(name: string): T {
    return JSON.parse(readFileSync(this.file(name), 'utf8')) as T;
  }

  has(name: string): boolean {
    return this.stored.has(name);
  }

  /** Names of all stored tensors that begin with `prefix`. */
  names(prefix = ''): string[] {
    return [...this.stored.keys()].filter((name) => name.startsWith(prefix));
  }

  raw(name: string): StoredTensor {
    const tensor = this.stored.get(name);
    if (!tensor) throw new UserError(`the case has no tensor ${name}`, EXIT_CODES.data);
    return tensor;
  }

  /** A stored tensor; bytes and integers become int32 unless `dtype` says otherwise. */
  tensor<T extends tf.Tensor = tf.Tensor>(name: string, dtype?: 'float32' | 'int32' | 'bool'): T {
    const { shape, data, dtype: storedType } = this.raw(name);
    const isFloat = storedType.startsWith('F') || storedType === 'BF16';
    const type = dtype ?? (isFloat ? 'float32' : 'int32');
    const values =
      type === 'float32'
        ? Float32Array.from(data as ArrayLike<number>)
        : Int32Array.from(data as ArrayLike<number>);
    return tf.tensor(type === 'bool' ? Uint8Array.from(values) : values, shape, type) as T;
  }

  /** A stored tensor as a variable to take gradients for; freed when the case ends. */
  variable(name: string): tf.Variable {
    return this.track(tf.tidy(() => tf.variable(this.tensor(name, 'float32'))));
  }

  track(variable: tf.Variable): tf.Variable {
    this.variables.push(variable);
    return variable;
  }

  // ---- What is computed ----

  /**
   * A function of the library: as it is, or compiled to one operation. `fn` reads no values and returns tensors in arrays
   * and plain objects.
   */
  function<R>(fn: () => R): () => R {
    if (!this.compiled) return fn;
    const compiled = compile(fn, { name: 'parity' });
    this.functions.push(compiled);
    return () => {
      const result = compiled();
      if (!compiled.compiled) this.check('compiled', false, 'it ran without being compiled');
      return result;
    };
  }

  /** Calls {@link function} once. */
  compute<R>(fn: () => R): R {
    return this.function(fn)();
  }

  /**
   * Gradients of a scalar, in the order of `leaves`; null where it does not depend on one. What `loss` keeps (`tf.keep`)
   * stays; everything else is freed with the case.
   */
  gradients(leaves: readonly tf.Variable[], loss: () => tf.Scalar): (tf.Tensor | null)[] {
    const grads = this.compute(() => tf.variableGrads(loss, [...leaves]).grads);
    return leaves.map((leaf) => grads[leaf.name] ?? null);
  }

  // ---- What came out ----

  /** Names of results the manifest or the file holds that match. */
  expected(pattern: RegExp = /./): string[] {
    const all = new Set([...Object.keys(this.entry.tensors ?? {}), ...this.stored.keys()]);
    return [...all].filter((name) => !GIVEN.test(name) && pattern.test(name));
  }

  /** Compares a result; a tensor is read and left alone. Results the case doesn't have are ignored. */
  compare(name: string, got: tf.Tensor | Got, mask?: string): void {
    if (!this.stored.has(name)) return;
    const values: Got =
      got instanceof tf.Tensor ? { shape: got.shape, data: got.dataSync() as ArrayLike<number> } : got;
    const tol = this.entry.tensors?.[name]?.tol;
    const skip = mask && this.stored.has(mask) ? (this.raw(mask).data as ArrayLike<number>) : undefined;
    this.comparisons.push(compareTensor(name, values, this.raw(name), tol, skip));
    const precise = this.precise.get(name);
    if (precise) this.comparisons.push(compareTensor(`${name} (float64)`, values, precise, tol, skip));
    this.settled.add(name);
  }

  /** A number that is not stored as a tensor. */
  compareNumber(what: string, got: number, expected: number, tol: number): void {
    const apart = got === expected ? 0 : Math.abs(got - expected);
    this.comparisons.push({
      tensor: what,
      error: Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart,
      tol,
    });
  }

  /** Something that is right or wrong. `note` says what was found when it is wrong. */
  check(what: string, right: boolean, note: string): void {
    this.comparisons.push(
      right
        ? { tensor: what, error: 0, tol: 0 }
        : { tensor: what, error: Number.POSITIVE_INFINITY, tol: 0, note },
    );
  }

  /** Marks a result as dealt with by other means, which the fixtures' description allows. */
  settle(name: string): void {
    this.settled.add(name);
  }

  /** Results that nobody compared. */
  forgotten(): string[] {
    return this.expected().filter((name) => !this.settled.has(name));
  }

  dispose(): void {
    for (const compiled of this.functions) compiled.dispose();
    for (const variable of this.variables) if (!variable.isDisposed) variable.dispose();
  }

  /** Weights, those after training too, live beside a `config.json`. */
  private belongsToModel(file: string): boolean {
    const at = file.lastIndexOf('/');
    if (!/^(model|after)\b/.test(file.slice(at + 1))) return false;
    return at >= 0 && this.entry.files.includes(`${file.slice(0, at)}/config.json`);
  }
}
