// SPDX-License-Identifier: Apache-2.0
import { type HostTensor, TF_DTYPE, type TfDtypeName } from '../engine/index.js';
import { shapeProto, toTensorProto } from './tensor_proto.js';
import type { AttrList, AttrValue, NodeDef } from './tensorflow_messages.js';

/** Attributes of nodes. */
export const attr = {
  type: (dtype: TfDtypeName): AttrValue => ({ type: TF_DTYPE[dtype] }),
  shape: (shape: readonly number[] | null): AttrValue => ({
    shape: shape === null ? { dim: [], unknownRank: true } : shapeProto(shape),
  }),
  int: (int: number): AttrValue => ({ int }),
  ints: (ints: readonly number[]): AttrValue => list({ ints: [...ints] }),
  float: (float: number): AttrValue => ({ float }),
  bool: (bool: boolean): AttrValue => ({ bool }),
  text: (text: string): AttrValue => ({ string: Buffer.from(text) }),
  tensor: (tensor: HostTensor): AttrValue => ({ tensor: toTensorProto(tensor) }),
  func: (name: string): AttrValue => ({ func: { name, attr: new Map() } }),
  types: (dtypes: readonly TfDtypeName[]): AttrValue =>
    list({ types: dtypes.map((dtype) => TF_DTYPE[dtype]) }),
  shapes: (shapes: readonly (readonly number[])[]): AttrValue => list({ shapes: shapes.map(shapeProto) }),
};

function list(part: Partial<AttrList>): AttrValue {
  return {
    list: {
      strings: [],
      ints: [],
      floats: [],
      bools: [],
      types: [],
      shapes: [],
      tensors: [],
      functions: [],
      ...part,
    },
  };
}

/** Adds nodes to a graph, or to the body of a function. */
export class GraphBuilder {
  private readonly names: Set<string>;

  constructor(readonly nodes: NodeDef[] = []) {
    this.names = new Set(nodes.map(({ name }) => name));
  }

  /**
   * Adds a node.
   * @param name its name; a number is added where it is taken
   * @param inputs outputs of nodes (`node`, `node:1`); `^node` is one that must run before
   * @returns its name
   */
  add(
    op: string,
    name: string,
    inputs: readonly string[] = [],
    attributes: Readonly<Record<string, AttrValue>> = {},
  ): string {
    const free = this.freeName(name);
    this.names.add(free);
    this.nodes.push({ name: free, op, input: [...inputs], attr: new Map(Object.entries(attributes)) });
    return free;
  }

  placeholder(name: string, dtype: TfDtypeName, shape: readonly number[] | null): string {
    return this.add('Placeholder', name, [], { dtype: attr.type(dtype), shape: attr.shape(shape) });
  }

  constant(name: string, tensor: HostTensor): string {
    return this.add('Const', name, [], { dtype: attr.type(tensor.dtype), value: attr.tensor(tensor) });
  }

  /** A constant of one or more whole numbers. @param values a number makes a scalar */
  ints(name: string, values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const shape = typeof values === 'number' ? [] : [list.length];
    return this.constant(name, { dtype: 'int32', shape, values: Int32Array.from(list) });
  }

  /** A constant of one or more floats. @param values a number makes a scalar */
  floats(name: string, values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const shape = typeof values === 'number' ? [] : [list.length];
    return this.constant(name, { dtype: 'float32', shape, values: Float32Array.from(list) });
  }

  /** A constant text. */
  text(name: string, values: string | readonly string[]): string {
    const list = typeof values === 'string' ? [values] : values;
    const shape = typeof values === 'string' ? [] : [list.length];
    return this.constant(name, { dtype: 'string', shape, values: list.map((text) => Buffer.from(text)) });
  }

  private freeName(name: string): string {
    if (!this.names.has(name)) return name;
    for (let i = 1; ; i++) if (!this.names.has(`${name}_${i}`)) return `${name}_${i}`;
  }
}
