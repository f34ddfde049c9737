// SPDX-License-Identifier: Apache-2.0
import type { MessageSpec } from './message.js';

/*
 * The messages of a SavedModel, as data. Names and numbers are those of TensorFlow's graph.proto, node_def.proto,
 * attr_value.proto, tensor.proto, tensor_shape.proto, function.proto, op_def.proto, meta_graph.proto, saver.proto and
 * saved_model.proto; fields that tfgeo neither reads nor writes are left out.
 */

export interface Dimension {
  /** -1 where it is unknown. */
  size?: number;
}
const DIMENSION: MessageSpec<Dimension> = { size: { number: 1, of: 'int' } };

export interface TensorShape {
  dim: Dimension[];
  unknownRank?: boolean;
}
export const TENSOR_SHAPE: MessageSpec<TensorShape> = {
  dim: { number: 2, of: () => DIMENSION, count: 'many' },
  unknownRank: { number: 3, of: 'bool' },
};

export interface TensorProto {
  dtype?: number;
  shape?: TensorShape;
  /** All values as they lie in memory; else they stand in one of the lists. */
  content?: Uint8Array;
  floatValues: number[];
  doubleValues: number[];
  intValues: number[];
  stringValues: Uint8Array[];
  int64Values: number[];
  boolValues: boolean[];
  halfValues: number[];
}
export const TENSOR: MessageSpec<TensorProto> = {
  dtype: { number: 1, of: 'int' },
  shape: { number: 2, of: () => TENSOR_SHAPE },
  content: { number: 4, of: 'bytes' },
  floatValues: { number: 5, of: 'float', count: 'many' },
  doubleValues: { number: 6, of: 'double', count: 'many' },
  intValues: { number: 7, of: 'int', count: 'many' },
  stringValues: { number: 8, of: 'bytes', count: 'many' },
  int64Values: { number: 10, of: 'int', count: 'many' },
  boolValues: { number: 11, of: 'bool', count: 'many' },
  halfValues: { number: 13, of: 'int', count: 'many' },
};

export interface AttrList {
  strings: Uint8Array[];
  ints: number[];
  floats: number[];
  bools: boolean[];
  types: number[];
  shapes: TensorShape[];
  tensors: TensorProto[];
  functions: NamedAttrs[];
}
const ATTR_LIST: MessageSpec<AttrList> = {
  strings: { number: 2, of: 'bytes', count: 'many' },
  ints: { number: 3, of: 'int', count: 'many' },
  floats: { number: 4, of: 'float', count: 'many' },
  bools: { number: 5, of: 'bool', count: 'many' },
  types: { number: 6, of: 'int', count: 'many' },
  shapes: { number: 7, of: () => TENSOR_SHAPE, count: 'many' },
  tensors: { number: 8, of: () => TENSOR, count: 'many' },
  functions: { number: 9, of: () => NAMED_ATTRS, count: 'many' },
};

/** A function by name, with its attributes. */
export interface NamedAttrs {
  name?: string;
  attr: Map<string, AttrValue>;
}
const NAMED_ATTRS: MessageSpec<NamedAttrs> = {
  name: { number: 1, of: 'text' },
  attr: { number: 2, of: () => ATTR_VALUE, count: 'map' },
};

/** Exactly one field is there. */
export interface AttrValue {
  list?: AttrList;
  string?: Uint8Array;
  int?: number;
  float?: number;
  bool?: boolean;
  type?: number;
  shape?: TensorShape;
  tensor?: TensorProto;
  placeholder?: string;
  func?: NamedAttrs;
}
export const ATTR_VALUE: MessageSpec<AttrValue> = {
  list: { number: 1, of: () => ATTR_LIST },
  string: { number: 2, of: 'bytes' },
  int: { number: 3, of: 'int' },
  float: { number: 4, of: 'float' },
  bool: { number: 5, of: 'bool' },
  type: { number: 6, of: 'int' },
  shape: { number: 7, of: () => TENSOR_SHAPE },
  tensor: { number: 8, of: () => TENSOR },
  placeholder: { number: 9, of: 'text' },
  func: { number: 10, of: () => NAMED_ATTRS },
};

export interface NodeDef {
  name: string;
  op: string;
  /** `node`, `node:1`, or `^node` for one that must run before. */
  input: string[];
  device?: string;
  attr: Map<string, AttrValue>;
}
const NODE: MessageSpec<NodeDef> = {
  name: { number: 1, of: 'text' },
  op: { number: 2, of: 'text' },
  input: { number: 3, of: 'text', count: 'many' },
  device: { number: 4, of: 'text' },
  attr: { number: 5, of: () => ATTR_VALUE, count: 'map' },
};

export interface ArgDef {
  name: string;
  type?: number;
  typeAttr?: string;
  numberAttr?: string;
  typeListAttr?: string;
}
const ARG: MessageSpec<ArgDef> = {
  name: { number: 1, of: 'text' },
  type: { number: 3, of: 'int' },
  typeAttr: { number: 4, of: 'text' },
  numberAttr: { number: 5, of: 'text' },
  typeListAttr: { number: 6, of: 'text' },
};

export interface AttrDef {
  name: string;
  type?: string;
  defaultValue?: AttrValue;
}
const ATTR_DEF: MessageSpec<AttrDef> = {
  name: { number: 1, of: 'text' },
  type: { number: 2, of: 'text' },
  defaultValue: { number: 3, of: () => ATTR_VALUE },
};

export interface OpDef {
  name: string;
  inputArg: ArgDef[];
  outputArg: ArgDef[];
  attr: AttrDef[];
  isStateful?: boolean;
}
const OP: MessageSpec<OpDef> = {
  name: { number: 1, of: 'text' },
  inputArg: { number: 2, of: () => ARG, count: 'many' },
  outputArg: { number: 3, of: () => ARG, count: 'many' },
  attr: { number: 4, of: () => ATTR_DEF, count: 'many' },
  isStateful: { number: 17, of: 'bool' },
};

export interface OpList {
  op: OpDef[];
}
export const OP_LIST: MessageSpec<OpList> = { op: { number: 1, of: () => OP, count: 'many' } };

export interface FunctionDef {
  signature: OpDef;
  /** Inputs of nodes read `node:output:index`, or the name of an argument. */
  nodes: NodeDef[];
  /** Where each output comes from. */
  ret: Map<string, string>;
  attr: Map<string, AttrValue>;
}
const FUNCTION: MessageSpec<FunctionDef> = {
  signature: { number: 1, of: () => OP },
  nodes: { number: 3, of: () => NODE, count: 'many' },
  ret: { number: 4, of: 'text', count: 'map' },
  attr: { number: 5, of: () => ATTR_VALUE, count: 'map' },
};

export interface FunctionLibrary {
  functions: FunctionDef[];
}
const LIBRARY: MessageSpec<FunctionLibrary> = {
  functions: { number: 1, of: () => FUNCTION, count: 'many' },
};

export interface Versions {
  producer?: number;
  minConsumer?: number;
}
const VERSIONS: MessageSpec<Versions> = {
  producer: { number: 1, of: 'int' },
  minConsumer: { number: 2, of: 'int' },
};

export interface GraphDef {
  nodes: NodeDef[];
  library?: FunctionLibrary;
  versions?: Versions;
}
export const GRAPH: MessageSpec<GraphDef> = {
  nodes: { number: 1, of: () => NODE, count: 'many' },
  library: { number: 2, of: () => LIBRARY },
  versions: { number: 4, of: () => VERSIONS },
};

/** A tensor of the graph as signatures name it. */
export interface TensorInfo {
  /** `node:0`. */
  name: string;
  dtype?: number;
  shape?: TensorShape;
}
const TENSOR_INFO: MessageSpec<TensorInfo> = {
  name: { number: 1, of: 'text' },
  dtype: { number: 2, of: 'int' },
  shape: { number: 3, of: () => TENSOR_SHAPE },
};

export interface SignatureDef {
  inputs: Map<string, TensorInfo>;
  outputs: Map<string, TensorInfo>;
  methodName?: string;
}
const SIGNATURE: MessageSpec<SignatureDef> = {
  inputs: { number: 1, of: () => TENSOR_INFO, count: 'map' },
  outputs: { number: 2, of: () => TENSOR_INFO, count: 'map' },
  methodName: { number: 3, of: 'text' },
};

export interface MetaInfo {
  tags: string[];
  tensorflowVersion?: string;
  strippedDefaultAttrs?: boolean;
}
const META_INFO: MessageSpec<MetaInfo> = {
  tags: { number: 4, of: 'text', count: 'many' },
  tensorflowVersion: { number: 5, of: 'text' },
  strippedDefaultAttrs: { number: 7, of: 'bool' },
};

export interface SaverDef {
  filenameTensorName: string;
  saveTensorName: string;
  restoreOpName: string;
  /** 2 = the present format of checkpoints. */
  version: number;
}
const SAVER: MessageSpec<SaverDef> = {
  filenameTensorName: { number: 1, of: 'text' },
  saveTensorName: { number: 2, of: 'text' },
  restoreOpName: { number: 3, of: 'text' },
  version: { number: 7, of: 'int' },
};

export interface AssetFile {
  tensorInfo: TensorInfo;
  /** Name in the folder `assets`. */
  filename: string;
}
const ASSET_FILE: MessageSpec<AssetFile> = {
  tensorInfo: { number: 1, of: () => TENSOR_INFO },
  filename: { number: 2, of: 'text' },
};

export interface MetaGraph {
  metaInfo: MetaInfo;
  graph: GraphDef;
  saver?: SaverDef;
  signatures: Map<string, SignatureDef>;
  assetFiles: AssetFile[];
}
const META_GRAPH: MessageSpec<MetaGraph> = {
  metaInfo: { number: 1, of: () => META_INFO },
  graph: { number: 2, of: () => GRAPH },
  saver: { number: 3, of: () => SAVER },
  signatures: { number: 5, of: () => SIGNATURE, count: 'map' },
  assetFiles: { number: 6, of: () => ASSET_FILE, count: 'many' },
};

export interface SavedModel {
  schemaVersion: number;
  metaGraphs: MetaGraph[];
}
export const SAVED_MODEL: MessageSpec<SavedModel> = {
  schemaVersion: { number: 1, of: 'int' },
  metaGraphs: { number: 2, of: () => META_GRAPH, count: 'many' },
};
