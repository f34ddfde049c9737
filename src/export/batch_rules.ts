// SPDX-License-Identifier: Apache-2.0
import type { HostTensor } from '../engine/index.js';
import { UserError } from '../errors.js';
import { arrayFor } from './tensor_proto.js';

/*
 * Graphs of any batch size from graphs of fixed ones. A function is traced with three batch sizes. The three graphs have
 * the same nodes, and what differs is constants: shapes, in which some sides are multiples of the batch, and tables with
 * a row (or several) for each item. What two traces say is put as a formula of the batch size; the third must agree.
 */

/** Sizes to trace with: small, and such that a multiple of one is rarely one of another. */
export const TRACED_BATCHES = [2, 3, 5] as const;

/** A constant as it was in each of the traces. */
export type ByTrace = readonly [HostTensor, HostTensor, HostTensor];

/** What the values of a constant have to do with the batch size. */
export type BatchRule =
  | { kind: 'same' }
  /** `offset + gain * batch`, element by element. */
  | { kind: 'affine'; offset: HostTensor; gain: HostTensor }
  /** `base` for every item of the batch, one behind the other along `axis`. */
  | { kind: 'tiled'; axis: number; base: HostTensor }
  /** `offset + gain * batch + step * item` for every item, one behind the other along `axis`. */
  | { kind: 'moved'; axis: number; offset: HostTensor; gain: HostTensor; step: HostTensor };

/** A rule that needs nodes. */
export type ComputedRule = Exclude<BatchRule, { kind: 'same' }>;

/** @throws UserError if there is no such rule */
export function findRule(constants: ByTrace, what: string): BatchRule {
  const [first, ...others] = constants;
  const sameShapes = others.every(({ shape }) => `${shape}` === `${first.shape}`);
  if (sameShapes && others.every(({ values }) => sameValues(values, first.values))) return { kind: 'same' };
  const rule = sameShapes ? affineRule(constants) : itemRule(constants);
  if (rule) return rule;
  const shapes = constants.map(({ shape }) => `[${shape}]`).join(', ');
  throw notDynamic(`${what} (${shapes}) depends on the batch size in a way that is not understood`);
}

/** Why a model cannot have a batch of any size. */
export function notDynamic(reason: string): UserError {
  return new UserError(
    `this model cannot be exported with --batch dynamic: ${reason}; give a number instead`,
  );
}

type Numbers = ReturnType<typeof arrayFor>;

function sameValues(a: HostTensor['values'], b: HostTensor['values']): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Rounding of sums that were computed together with more or fewer other rows. */
const ROUNDING = 1e-5;

/** Equal, or for floats equal but for rounding. */
function closeValues(a: HostTensor['values'], b: Numbers): boolean {
  if (!(b instanceof Float32Array)) return sameValues(a, b);
  const floats = a as Float32Array;
  let largest = 1;
  for (const value of b) largest = Math.max(largest, Math.abs(value));
  return b.every(
    (value, i) => Object.is(value, floats[i]) || Math.abs(value - floats[i]!) <= ROUNDING * largest,
  );
}

/** Whole numbers only: shapes, sizes and limits. */
function affineRule(constants: ByTrace): ComputedRule | null {
  const [first, second, third] = constants;
  if (first.dtype !== 'int32') return null;
  const [a, b] = [first.values as Int32Array, second.values as Int32Array];
  const gain = a.map((value, i) => (b[i]! - value) / (TRACED_BATCHES[1] - TRACED_BATCHES[0]));
  const offset = a.map((value, i) => value - gain[i]! * TRACED_BATCHES[0]);
  const agrees = offset.every((value, i) => value + gain[i]! * TRACED_BATCHES[2] === third.values[i]);
  if (!agrees) return null;
  return { kind: 'affine', offset: { ...first, values: offset }, gain: { ...first, values: gain } };
}

function itemRule(constants: ByTrace): ComputedRule | null {
  const [first] = constants;
  const { shape, dtype } = first;
  if (constants.some((each) => each.shape.length !== shape.length) || dtype === 'string') return null;
  const axis = shape.findIndex((side, i) => constants.some((each) => each.shape[i] !== side));
  const rows = shape[axis]! / TRACED_BATCHES[0];
  const fits = constants.every(({ shape: own }, trace) =>
    own.every((side, i) => side === (i === axis ? rows * TRACED_BATCHES[trace]! : shape[i])),
  );
  if (!fits || !Number.isInteger(rows)) return null;
  const items = constants.map((each, trace) =>
    Array.from({ length: TRACED_BATCHES[trace]! }, (_, item) => itemOf(each, axis, rows, item)),
  );
  return tiledRule(axis, items) ?? (dtype === 'int32' ? movedRule(axis, items) : null);
}

/** @param items parts of a constant by trace and item */
function tiledRule(axis: number, items: readonly (readonly HostTensor[])[]): ComputedRule | null {
  const base = items[0]![0]!;
  const agrees = items.flat().every(({ values }) => closeValues(values, base.values as Numbers));
  return agrees ? { kind: 'tiled', axis, base } : null;
}

/** Indices of rows: they move on with every item, and what stands for "none" with the batch. */
function movedRule(axis: number, items: readonly (readonly HostTensor[])[]): ComputedRule | null {
  const part = items[0]![0]!;
  const at = (trace: number, item: number) => items[trace]![item]!.values as Int32Array;
  const [start, next, wider] = [at(0, 0), at(0, 1), at(1, 0)];
  const step = start.map((value, i) => next[i]! - value);
  const gain = start.map((value, i) => (wider[i]! - value) / (TRACED_BATCHES[1] - TRACED_BATCHES[0]));
  const offset = start.map((value, i) => value - gain[i]! * TRACED_BATCHES[0]);
  const agrees = items.every((own, trace) =>
    own.every((_, item) =>
      at(trace, item).every(
        (value, i) => value === offset[i]! + gain[i]! * TRACED_BATCHES[trace]! + step[i]! * item,
      ),
    ),
  );
  if (!agrees) return null;
  const like = (values: Int32Array): HostTensor => ({ ...part, values });
  return { kind: 'moved', axis, offset: like(offset), gain: like(gain), step: like(step) };
}

/** The `rows` entries of `axis` that belong to one item. */
function itemOf({ dtype, shape, values }: HostTensor, axis: number, rows: number, item: number): HostTensor {
  const inner = shape.slice(axis + 1).reduce((product, side) => product * side, 1);
  const outer = shape.slice(0, axis).reduce((product, side) => product * side, 1);
  const source = values as Float32Array;
  const part = arrayFor(dtype, outer * rows * inner) as Float32Array;
  for (let i = 0; i < outer; i++) {
    const from = (i * shape[axis]! + item * rows) * inner;
    part.set(source.subarray(from, from + rows * inner), i * rows * inner);
  }
  return { dtype, shape: shape.map((side, i) => (i === axis ? rows : side)), values: part };
}
