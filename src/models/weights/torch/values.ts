// SPDX-License-Identifier: Apache-2.0
import { HARMLESS, join } from '../pickle/harmless.js';
import { PickleError } from '../pickle/input.js';
import { type PickleGlobal, PickleTuple } from '../pickle/values.js';
import type { TensorDtype } from '../safetensors.js';
import { DTYPE_BYTES } from '../safetensors_header.js';

/** A run of numbers that tensors look at. */
export class TorchStorage {
  constructor(
    /** Name of the run in the file. */
    readonly key: string,
    /** Null for runs of bytes, whose tensors say what is in them. */
    readonly dtype: TensorDtype | null,
    /** First byte that belongs to it. */
    readonly begin: number,
    readonly bytes: number,
  ) {}
}

/** A tensor as PyTorch writes it: a way of looking at a storage. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly dtype: TensorDtype,
    /** In values, from the storage's beginning. */
    readonly offset: number,
    readonly shape: readonly number[],
    /** Values from one index of an axis to the next. */
    readonly strides: readonly number[],
  ) {}

  toString(): string {
    return `tensor ${this.dtype} [${this.shape}]`;
  }
}

/** PyTorch's types by the names of its storages (`torch.FloatStorage`) and its own (`torch.float32`). */
const DTYPES: readonly (readonly [storage: string | null, type: string, dtype: TensorDtype])[] = [
  ['Double', 'float64', 'F64'],
  ['Float', 'float32', 'F32'],
  ['Half', 'float16', 'F16'],
  ['BFloat16', 'bfloat16', 'BF16'],
  ['Long', 'int64', 'I64'],
  ['Int', 'int32', 'I32'],
  ['Short', 'int16', 'I16'],
  ['Char', 'int8', 'I8'],
  ['Byte', 'uint8', 'U8'],
  ['Bool', 'bool', 'BOOL'],
  [null, 'uint16', 'U16'],
  [null, 'uint32', 'U32'],
  [null, 'uint64', 'U64'],
];

/** A type where one is named: of a storage, or PyTorch's own. */
export class TorchType implements PickleGlobal {
  constructor(
    readonly name: string,
    readonly dtype: TensorDtype | null,
  ) {}

  toString(): string {
    return this.name;
  }
}

/** Tensors of more axes than this are no tensors. */
const MOST_AXES = 64;

/** A tensor may show a value of its storage many times (`expand`), up to this many values. */
const MOST_EXPANDED = 1 << 24;

function counts(value: unknown, what: string): number[] {
  const items = value instanceof PickleTuple ? value.items : value;
  const sound =
    Array.isArray(items) &&
    items.length <= MOST_AXES &&
    items.every((item) => Number.isSafeInteger(item) && item >= 0);
  if (!sound) throw new PickleError(`expected ${what} of whole numbers`);
  return [...(items as number[])];
}

/** A tensor of a storage, if it lies inside of it. */
function tensorOf(
  storage: unknown,
  offset: unknown,
  size: unknown,
  stride: unknown,
  type: unknown,
): TorchTensor {
  if (!(storage instanceof TorchStorage)) throw new PickleError('expected a storage');
  const dtype = storage.dtype ?? (type instanceof TorchType ? type.dtype : null);
  if (dtype === null) throw new PickleError('expected a type of numbers that is known');
  const shape = counts(size, 'a shape');
  const strides = counts(stride, 'strides');
  if (strides.length !== shape.length) throw new PickleError('expected as many strides as axes');
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) throw new PickleError('expected an offset');
  const values = shape.reduce((product, n) => product * n, 1);
  const first = offset as number;
  const last = shape.reduce((at, n, axis) => at + (n - 1) * strides[axis]!, first);
  const held = Math.floor(storage.bytes / DTYPE_BYTES[dtype]);
  if (values > 0 && last >= held) {
    throw new PickleError(`a tensor of shape [${shape}] reaches value ${last} of a storage that has ${held}`);
  }
  if (values > Math.max(held, MOST_EXPANDED)) {
    throw new PickleError(
      `a tensor of shape [${shape}] shows ${values} values of a storage that has ${held}`,
    );
  }
  return new TorchTensor(storage, dtype, first, shape, strides);
}

type Call = NonNullable<PickleGlobal['call']>;

const CALLS: Readonly<Record<string, Call>> = {
  'torch._utils._rebuild_tensor': ([storage, offset, size, stride]) =>
    tensorOf(storage, offset, size, stride, null),
  'torch._utils._rebuild_tensor_v2': ([storage, offset, size, stride]) =>
    tensorOf(storage, offset, size, stride, null),
  'torch._utils._rebuild_tensor_v3': ([storage, offset, size, stride, , , type]) =>
    tensorOf(storage, offset, size, stride, type),
  'torch._utils._rebuild_parameter': ([data]) => data,
  'torch._utils._rebuild_parameter_with_state': ([data]) => data,
  'torch.Size': ([size]) => size ?? new PickleTuple([]),
  'torch.device': (args) => join(args, ':'),
};

const TYPES: readonly TorchType[] = DTYPES.flatMap(([storage, type, dtype]) => [
  ...(storage === null ? [] : [new TorchType(`torch.${storage}Storage`, dtype)]),
  new TorchType(`torch.${type}`, dtype),
]);

/** What a checkpoint may name. */
export const TORCH_GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map<string, PickleGlobal>([
  ...HARMLESS,
  ...Object.entries(CALLS).map(([name, call]) => [name, { name, call }] as const),
  ...TYPES.map((type) => [type.name, type] as const),
  ['torch.storage.UntypedStorage', new TorchType('torch.storage.UntypedStorage', null)],
]);
