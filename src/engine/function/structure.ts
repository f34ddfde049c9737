// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.js';

/** What a nested argument consists of: its tensors in order, and everything that a trace depends on. */
export interface Signature {
  tensors: tf.Tensor[];
  /** Types, shapes and the values of everything that is no tensor; equal for calls that one trace serves. */
  key: string;
}

/** Visits every leaf of nested arrays and plain objects. */
function visit(value: unknown, path: string, leaf: (value: unknown, path: string) => void): void {
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      visit(item, `${path}[${i}]`, leaf);
    });
  } else if (isPlain(value)) {
    for (const [name, item] of Object.entries(value)) visit(item, path ? `${path}.${name}` : name, leaf);
  } else {
    leaf(value, path);
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || value instanceof tf.Tensor) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of another realm (jest's sandbox, a vm) have another Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype as object) === null;
}

/** Whether a leaf is passed in on every call; variables are read where they are used. */
function isInput(value: unknown): value is tf.Tensor {
  return value instanceof tf.Tensor && !(value instanceof tf.Variable);
}

const identities = new WeakMap<object, number>();
let nextIdentity = 0;

function identityOf(value: object): number {
  const known = identities.get(value) ?? nextIdentity++;
  identities.set(value, known);
  return known;
}

/** A leaf as part of the key. @throws UserError for mutable data that a trace would freeze unseen */
function describe(value: unknown, path: string): string {
  if (isInput(value)) return `${value.dtype}[${value.shape}]`;
  if (typeof value === 'function') return `function#${identityOf(value)}`;
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    throw new UserError(
      `argument ${path} of a compiled function holds a typed array; pass it as a tensor, its values may change`,
    );
  }
  return `${value.constructor?.name ?? 'object'}#${identityOf(value)}`;
}

/** The tensors and the key of a call's arguments. Objects of classes count by identity. */
export function signatureOf(args: readonly unknown[]): Signature {
  const tensors: tf.Tensor[] = [];
  let key = '';
  visit(args, '', (value, path) => {
    if (isInput(value)) tensors.push(value);
    key += `${path}=${describe(value, path)};`;
  });
  return { tensors, key };
}

/** A copy of nested arrays and plain objects with every input tensor replaced; all else stays. */
export function replaceTensors(
  value: unknown,
  replace: (tensor: tf.Tensor, index: number) => unknown,
): unknown {
  let index = 0;
  const copy = (item: unknown): unknown => {
    if (isInput(item)) return replace(item, index++);
    if (Array.isArray(item)) return item.map(copy);
    if (isPlain(item))
      return Object.fromEntries(Object.entries(item).map(([name, inner]) => [name, copy(inner)]));
    return item;
  };
  return copy(value);
}

/** The tensors of a result, variables included. */
export function tensorsOf(value: unknown): tf.Tensor[] {
  const found: tf.Tensor[] = [];
  visit(value, '', (leaf) => {
    if (leaf instanceof tf.Tensor) found.push(leaf);
  });
  return found;
}

/** A result with its tensors taken out; `fillResult` puts others in. Numbers and other values stay as traced. */
export type ResultTemplate = (tensors: readonly tf.Tensor[]) => unknown;

export function templateOf(value: unknown): ResultTemplate {
  const build = (item: unknown, next: () => number): ResultTemplate => {
    if (item instanceof tf.Tensor) {
      const index = next();
      return (tensors) => tensors[index];
    }
    if (Array.isArray(item)) {
      const parts = item.map((inner) => build(inner, next));
      return (tensors) => parts.map((part) => part(tensors));
    }
    if (isPlain(item)) {
      const parts = Object.entries(item).map(([name, inner]) => [name, build(inner, next)] as const);
      return (tensors) => Object.fromEntries(parts.map(([name, part]) => [name, part(tensors)]));
    }
    return () => item;
  };
  let count = 0;
  return build(value, () => count++);
}

/** What differs between two keys, in words: `batch.pixels was float32[1,64,64,3], is float32[2,64,64,3]`. */
export function difference(before: string, after: string): string {
  const old = partsOf(before);
  const now = partsOf(after);
  const changes: string[] = [];
  for (const [path, spec] of now) {
    const was = old.get(path);
    if (was === undefined) changes.push(`${path} is new (${spec})`);
    else if (was !== spec) changes.push(`${path} was ${was}, is ${spec}`);
  }
  for (const path of old.keys()) if (!now.has(path)) changes.push(`${path} is gone`);
  const more = changes.length > 3 ? `, and ${changes.length - 3} more` : '';
  return changes.slice(0, 3).join('; ') + more;
}

function partsOf(key: string): Map<string, string> {
  const parts = key.split(';').filter((part) => part !== '');
  return new Map(
    parts.map((part) => {
      const at = part.indexOf('=');
      return [
        part
          .slice(0, at)
          .replace(/^\[(\d+)\]\.?/, 'argument $1 ')
          .trim(),
        part.slice(at + 1),
      ];
    }),
  );
}
