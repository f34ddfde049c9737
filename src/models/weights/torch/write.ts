// SPDX-License-Identifier: Apache-2.0
import { encodeStoredZip, type FileToStore } from '../../../zip.js';
import { PickleTuple } from '../pickle/values.js';
import type { StoredTensor, TensorData } from '../safetensors.js';

/** What `encodeTorch` writes: plain values, lists, dicts (`Map` or plain objects), and tensors of float32. */
export type TorchValue =
  | null
  | boolean
  | number
  | string
  | StoredTensor
  | readonly TorchValue[]
  | ReadonlyMap<string, TorchValue>
  | { readonly [name: string]: TorchValue };

const PROTOCOL = Buffer.from([0x80, 2]);

/** The class of PyTorch's storages by the array that holds their values. */
const STORAGES: readonly (readonly [new (length: number) => TensorData, string])[] = [
  [Float32Array, 'FloatStorage'],
  [Float64Array, 'DoubleStorage'],
  [Int32Array, 'IntStorage'],
  [BigInt64Array, 'LongStorage'],
  [Uint8Array, 'ByteStorage'],
];

/**
 * A checkpoint as `torch.save` writes it: `torch.load` reads it, also with `weights_only=True`. Tensors that share one
 * array share one storage.
 * @returns pieces of the file, to be written one after the other
 * @throws RangeError for what cannot be written
 */
export function encodeTorch(value: TorchValue): Uint8Array[] {
  const pickler = new Pickler();
  const pickle = Buffer.concat([PROTOCOL, pickler.encode(value), Buffer.from('.')]);
  const text = (name: string, content: string): FileToStore => ({
    name: `archive/${name}`,
    bytes: Buffer.from(content),
  });
  return encodeStoredZip([
    { name: 'archive/data.pkl', bytes: pickle },
    text('byteorder', 'little'),
    ...pickler.storages.map((data, key) => ({
      name: `archive/data/${key}`,
      bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
    text('version', '3\n'),
  ]);
}

class Pickler {
  /** By their keys. */
  readonly storages: TensorData[] = [];
  private readonly keys = new Map<TensorData, number>();

  encode(value: TorchValue): Buffer {
    if (value === null) return Buffer.from('N');
    if (typeof value === 'boolean') return Buffer.from([value ? 0x88 : 0x89]);
    if (typeof value === 'number') return number(value);
    if (typeof value === 'string') return text(value);
    if (isList(value))
      return Buffer.concat([Buffer.from(']('), ...value.map((item) => this.encode(item)), Buffer.from('e')]);
    if (isTensor(value)) return this.tensor(value);
    // State dicts are ordered.
    if (isMap(value)) return Buffer.concat([ORDERED_DICT, this.items(value)]);
    return Buffer.concat([Buffer.from('}'), this.items(Object.entries(value))]);
  }

  private items(entries: Iterable<readonly [string, TorchValue]>): Buffer {
    const pairs = [...entries].flatMap(([name, value]) => [text(name), this.encode(value)]);
    return Buffer.concat([Buffer.from('('), ...pairs, Buffer.from('u')]);
  }

  private tensor({ shape, data }: StoredTensor): Buffer {
    const type = STORAGES.find(([array]) => data instanceof array)?.[1];
    if (type === undefined)
      throw new RangeError(
        `[encodeTorch] expected floats or whole numbers but received ${data.constructor.name}`,
      );
    const key = this.keys.get(data) ?? this.storages.push(data) - 1;
    this.keys.set(data, key);
    const id = tuple(
      text('storage'),
      global('torch', type),
      text(String(key)),
      text('cpu'),
      number(data.length),
    );
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
    const args = tuple(
      Buffer.concat([id, Buffer.from('Q')]),
      number(0),
      tuple(...shape.map(number)),
      tuple(...strides.map(number)),
      Buffer.from([0x89]),
      ORDERED_DICT,
    );
    return Buffer.concat([global('torch._utils', '_rebuild_tensor_v2'), args, Buffer.from('R')]);
  }
}

function isList(value: object): value is readonly TorchValue[] {
  return Array.isArray(value);
}

function isMap(value: object): value is ReadonlyMap<string, TorchValue> {
  return value instanceof Map;
}

function isTensor(value: object): value is StoredTensor {
  return 'dtype' in value && 'data' in value && ArrayBuffer.isView(value.data);
}

const ORDERED_DICT = Buffer.concat([global('collections', 'OrderedDict'), Buffer.from(')R')]);

function global(module: string, name: string): Buffer {
  return Buffer.from(`c${module}\n${name}\n`);
}

function tuple(...items: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('('), ...items, Buffer.from('t')]);
}

/** BINUNICODE */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.from('X____');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** BININT, LONG1 where that is too small, BINFLOAT for what is not whole. */
function number(value: number): Buffer {
  if (!Number.isSafeInteger(value)) {
    const float = Buffer.alloc(9, 'G');
    float.writeDoubleBE(value, 1);
    return float;
  }
  if (value >= -(2 ** 31) && value < 2 ** 31) {
    const int = Buffer.alloc(5, 'J');
    int.writeInt32LE(value, 1);
    return int;
  }
  const long = Buffer.from([0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  long.writeBigInt64LE(BigInt(value), 2);
  return long;
}

/** What of a value that was read from a checkpoint can be written again; the rest is left out. */
export function plainValue(value: unknown): TorchValue | undefined {
  if (value === null || ['boolean', 'number', 'string'].includes(typeof value)) return value as TorchValue;
  const items = value instanceof PickleTuple ? value.items : value;
  if (!Array.isArray(items)) return undefined;
  const plain = items.map(plainValue);
  return plain.includes(undefined) ? undefined : (plain as TorchValue[]);
}
