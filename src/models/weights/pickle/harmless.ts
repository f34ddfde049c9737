// SPDX-License-Identifier: Apache-2.0
import { PickleError } from './input.js';
import { describeValue, type PickleGlobal, PickleObject, PickleTuple } from './values.js';

type Call = (args: readonly unknown[]) => unknown;

/** The items of a list, tuple or set, not copied; nothing for a missing argument. */
function itemsOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  if (value instanceof PickleTuple) return value.items;
  if (value instanceof Set) return [...value];
  throw new PickleError('expected a list');
}

/** A dict from nothing, from another dict, or from a list of pairs. */
function dict(source: unknown): Map<unknown, unknown> {
  if (source instanceof Map) return new Map(source);
  return new Map(
    itemsOf(source).map((pair) => {
      const items = itemsOf(pair);
      if (items.length !== 2) throw new PickleError('expected pairs');
      return [items[0], items[1]];
    }),
  );
}

/** Old pickles write bytes as a text of the characters 0 to 255. */
function encode([text, encoding]: readonly unknown[]): Uint8Array {
  if (typeof text !== 'string' || encoding !== 'latin1') throw new PickleError('expected a latin1 text');
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** Reads one value by its type in numpy's words. */
const SCALARS: Readonly<Record<string, (view: DataView) => unknown>> = {
  f8: (view) => view.getFloat64(0, true),
  f4: (view) => view.getFloat32(0, true),
  i8: (view) => Number(view.getBigInt64(0, true)),
  i4: (view) => view.getInt32(0, true),
  u1: (view) => view.getUint8(0),
  b1: (view) => view.getUint8(0) !== 0,
};

function numpyScalar([dtype, bytes]: readonly unknown[]): unknown {
  const type = dtype instanceof PickleObject ? dtype.fields.get('type') : null;
  const read = typeof type === 'string' ? SCALARS[type] : undefined;
  if (!read || !(bytes instanceof Uint8Array) || bytes.length < Number(String(type).slice(1))) {
    throw new PickleError(`cannot read a numpy number of type ${describeValue(type)}`);
  }
  return read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

const object =
  (className: string): Call =>
  () =>
    new PickleObject(className);

function numpyType([type]: readonly unknown[]): PickleObject {
  const described = new PickleObject('numpy.dtype');
  described.fields.set('type', type);
  return described;
}

/** Longer texts are no paths and no names of devices. */
const LONGEST_TEXT = 4096;

/** Texts and numbers joined to one text. */
export function join(args: readonly unknown[], separator: string): string {
  const sound = args.every((part) => typeof part === 'string' || typeof part === 'number');
  const text = sound ? args.join(separator) : '';
  if (!sound || text.length > LONGEST_TEXT) throw new PickleError('expected a few short texts');
  return text;
}

const HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer';

/** Records of mmengine's losses name the functions that sum them up; nothing else of any class is named so. */
function getattr([owner, name]: readonly unknown[]): PickleObject {
  const known = (owner as Partial<PickleGlobal> | null | undefined)?.name;
  if (known !== HISTORY || typeof name !== 'string' || !/^\w+$/.test(name))
    throw new PickleError(
      `asks for builtins.getattr of ${describeValue(known ?? owner)}, which is not among the things that weights consist of`,
    );
  return new PickleObject(`${HISTORY}.${name}`);
}

const path: Call = (args) => join(args, '/').replaceAll(/\/+/g, '/');
const first: Call = ([value]) => value ?? null;

/** Classes and functions of Python that checkpoints hold beside their weights, and the data that stands for them. */
const CALLS: Readonly<Record<string, Call>> = {
  'collections.OrderedDict': ([source]) => dict(source),
  'collections.Counter': ([source]) => dict(source),
  'collections.defaultdict': ([, source]) => dict(source),
  'argparse.Namespace': object('argparse.Namespace'),
  'types.SimpleNamespace': object('types.SimpleNamespace'),
  'numpy.dtype': numpyType,
  '_codecs.encode': encode,
  // What mmengine and mmcv, the programs below mmdetection, keep beside weights.
  [HISTORY]: object(HISTORY),
  'mmengine.config.config.Config': object('mmengine.config.config.Config'),
  'mmengine.config.config.ConfigDict': ([source]) => dict(source),
  'mmcv.utils.config.ConfigDict': ([source]) => dict(source),
};

const BUILTINS: Readonly<Record<string, Call>> = {
  dict: ([source]) => dict(source),
  list: ([source]) => itemsOf(source),
  tuple: ([source]) => new PickleTuple(itemsOf(source)),
  set: ([source]) => new Set(itemsOf(source)),
  frozenset: ([source]) => new Set(itemsOf(source)),
  int: first,
  float: first,
  bool: first,
  str: first,
  getattr,
};

/** Modules that one thing is named by, according to the version that wrote it. */
const MODULES = {
  builtins: ['builtins', '__builtin__'],
  pathlib: ['pathlib', 'pathlib._local'],
  numpy: ['numpy.core.multiarray', 'numpy._core.multiarray'],
} as const;

/** What any pickle may name. */
export const HARMLESS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...Object.entries(CALLS),
    ...MODULES.builtins.flatMap((module) =>
      Object.entries(BUILTINS).map(([name, call]) => [`${module}.${name}`, call] as const),
    ),
    ...MODULES.pathlib.flatMap((module) =>
      ['PosixPath', 'PurePosixPath', 'Path'].map((name) => [`${module}.${name}`, path] as const),
    ),
    ...MODULES.numpy.flatMap((module) => [
      [`${module}.scalar`, numpyScalar] as const,
      // Its numbers, which follow, are left out.
      [`${module}._reconstruct`, object('numpy.ndarray')] as const,
    ]),
    ['numpy.ndarray', () => new PickleObject('numpy.ndarray')] as const,
  ].map(([name, call]) => [name, { name, call }]),
);
