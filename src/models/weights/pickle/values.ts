// SPDX-License-Identifier: Apache-2.0

/** Python's tuple; a list is an array. */
export class PickleTuple {
  constructor(readonly items: readonly unknown[]) {}
}

/** An object of a harmless class: its attributes, nothing that could run. */
export class PickleObject {
  readonly fields = new Map<string, unknown>();

  constructor(
    /** `argparse.Namespace` */
    readonly className: string,
  ) {}
}

/**
 * A function or class that a pickle may name. Calling it runs code of ours, which makes plain data.
 * `call` is absent where it is named only (`torch.FloatStorage`).
 */
export interface PickleGlobal {
  /** `module.name` */
  readonly name: string;
  call?(args: readonly unknown[]): unknown;
}

/** Largest depth that is printed. */
const DEEPEST = 3;

/** Most entries of a container that are printed. */
const MOST_ENTRIES = 8;

/** A short description of a value, for people. Containers may hold themselves, so none is printed in full. */
export function describeValue(value: unknown, depth = 0): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (value === null) return 'None';
  if (typeof value !== 'object') return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof PickleTuple) return `(${describeItems(value.items, depth)})`;
  if (Array.isArray(value)) return `[${describeItems(value, depth)}]`;
  if (value instanceof Set) return `{${describeItems([...value], depth)}}`;
  if (value instanceof Map) return `{${describePairs([...value], ': ', depth)}}`;
  if (value instanceof PickleObject) {
    const name = value.className.slice(value.className.lastIndexOf('.') + 1);
    return `${name}(${describePairs([...value.fields], '=', depth)})`;
  }
  return String(value);
}

function describeItems(items: readonly unknown[], depth: number): string {
  if (depth >= DEEPEST) return items.length === 0 ? '' : '...';
  const shown = items.slice(0, MOST_ENTRIES).map((item) => describeValue(item, depth + 1));
  return [...shown, ...(items.length > MOST_ENTRIES ? [`... ${items.length} in all`] : [])].join(', ');
}

function describePairs(pairs: readonly (readonly [unknown, unknown])[], sign: string, depth: number): string {
  if (depth >= DEEPEST) return pairs.length === 0 ? '' : '...';
  // A configuration is worth printing whole.
  const most = sign === '=' && depth === 0 ? pairs.length : MOST_ENTRIES;
  const shown = pairs.slice(0, most).map(([key, item]) => {
    const name = sign === '=' ? key : describeValue(key, depth + 1);
    return `${name}${sign}${describeValue(item, depth + 1)}`;
  });
  return [...shown, ...(pairs.length > most ? [`... ${pairs.length} in all`] : [])].join(', ');
}
