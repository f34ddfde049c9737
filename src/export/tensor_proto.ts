// SPDX-License-Identifier: Apache-2.0
import { dtypeName, type HostTensor, TF_DTYPE } from '../engine/index.js';
import type { TensorProto, TensorShape } from './tensorflow_messages.js';

/** A shape as protocol buffers have it; -1 is an unknown side. */
export function shapeProto(shape: readonly number[]): TensorShape {
  return { dim: shape.map((size) => ({ size })) };
}

/** A shape from protocol buffers, -1 for unknown sides; null if not even the rank is known. */
export function shapeOf(shape: TensorShape | undefined): number[] | null {
  if (shape === undefined || shape.unknownRank) return null;
  return shape.dim.map(({ size }) => size ?? 0);
}

const NO_VALUES = {
  floatValues: [],
  doubleValues: [],
  intValues: [],
  stringValues: [],
  int64Values: [],
  boolValues: [],
  halfValues: [],
} as const satisfies Partial<TensorProto>;

/** A tensor as protocol buffers have it, its values in one piece. */
export function toTensorProto({ dtype, shape, values }: HostTensor): TensorProto {
  const lists = structuredClone(NO_VALUES) as Pick<TensorProto, keyof typeof NO_VALUES>;
  const head = { dtype: TF_DTYPE[dtype], shape: shapeProto(shape), ...lists };
  if (dtype === 'string') return { ...head, stringValues: values as Uint8Array[] };
  const { buffer, byteOffset, byteLength } = values as Uint8Array;
  return { ...head, content: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength) };
}

/** Typed arrays by TensorFlow's types. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  bool: Uint8Array,
} as const;

/** Types whose values JavaScript can hold as numbers. */
export type NumberDtype = keyof typeof ARRAYS;

/** An array for `length` values of a type. @throws Error for a type that has none */
export function arrayFor(dtype: string, length: number): InstanceType<(typeof ARRAYS)[NumberDtype]> {
  if (!Object.hasOwn(ARRAYS, dtype)) throw new Error(`tensors of type ${dtype} cannot be read`);
  return new ARRAYS[dtype as NumberDtype](length);
}

/**
 * The tensor that protocol buffers describe.
 * @throws Error for types that JavaScript cannot hold
 */
export function fromTensorProto(proto: TensorProto): HostTensor {
  const dtype = dtypeName(proto.dtype ?? 0);
  const shape = shapeOf(proto.shape) ?? [];
  const count = shape.reduce((product, side) => product * side, 1);
  if (dtype === 'string') return { dtype, shape, values: repeatLast(proto.stringValues, count) };
  const values = arrayFor(dtype, count);
  if (proto.content !== undefined) {
    new Uint8Array(values.buffer).set(proto.content);
    return { dtype, shape, values };
  }
  const lists = [proto.floatValues, proto.doubleValues, proto.intValues, proto.int64Values, proto.boolValues];
  const given = lists.find((list) => list.length > 0) ?? [];
  const all = repeatLast<number | boolean>(given, count).map(Number);
  if (values instanceof BigInt64Array) values.set(all.map(BigInt));
  else values.set(all);
  return { dtype, shape, values };
}

/** A list that is shorter than the tensor goes on with its last value. */
function repeatLast<T>(list: readonly T[], count: number): T[] {
  if (list.length >= count || list.length === 0) return [...list];
  return [...list, ...Array<T>(count - list.length).fill(list.at(-1)!)];
}
