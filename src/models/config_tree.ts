// SPDX-License-Identifier: Apache-2.0

/** Keys and values, as JSON or YAML gives them. */
export type Tree = Record<string, unknown>;

export function isRecord(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `{ 'a.b': 1 }` as `{ a: { b: 1 } }`, at every depth; where both forms name a key, the later one wins. */
export function nestKeys(tree: Readonly<Tree>): Tree {
  let result: Tree = {};
  for (const [path, value] of Object.entries(tree)) {
    const inner = isRecord(value) ? nestKeys(value) : value;
    const branch = path.split('.').reduceRight<unknown>((below, key) => ({ [key]: below }), inner);
    result = mergeDeep(result, branch as Tree);
  }
  return result;
}

/** A copy of `base` with `changes` on top; objects are merged key by key, anything else is replaced. */
export function mergeDeep(base: Readonly<Tree>, changes: Readonly<Tree>): Tree {
  const result: Tree = structuredClone(base);
  for (const [key, value] of Object.entries(changes)) {
    const before = result[key];
    result[key] = isRecord(before) && isRecord(value) ? mergeDeep(before, value) : structuredClone(value);
  }
  return result;
}

/** What stands at a dotted path, undefined where nothing does. */
export function valueAt(tree: Readonly<Tree>, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), tree);
}
