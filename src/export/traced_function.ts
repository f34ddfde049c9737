// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { FunctionGraph, HostTensor, TensorValues, TfDtypeName } from '../engine/index.js';
import { type ByTrace, type ComputedRule, findRule } from './batch_rules.js';
import { addRule, checkSameNodes } from './dynamic_batch.js';
import { attr, type GraphBuilder } from './graph_builder.js';
import { decode } from './message.js';
import { fromTensorProto } from './tensor_proto.js';
import { GRAPH, type NodeDef, type Versions } from './tensorflow_messages.js';
import { addVariable, type SavedVariable, type VariableNodes } from './variables.js';

/** How a traced function becomes part of a graph. */
export interface InlineOptions {
  /** Goes before the names of its nodes. */
  prefix: string;
  /** Nodes that stand for its arguments, in order. */
  arguments: readonly string[];
  /** Keeps its variables apart from those of other models in one process. */
  scope: string;
  /** Names of variables in the checkpoint; others are numbered. */
  names: ReadonlyMap<tf.Variable, string>;
  /** Node with the batch size, where there are traces with several of them. */
  batch: string | null;
}

/** A function in its graph. */
export interface Inlined {
  /** Nodes of its results, in order. */
  results: string[];
  variables: (SavedVariable & { nodes: VariableNodes })[];
  versions?: Versions;
}

/** Values smaller than this stay in the graph; larger ones go to the checkpoint. */
const MOST_CONSTANT_BYTES = 1024;

/**
 * Puts a traced function into a graph: arguments become the given nodes; variables, and large values that were computed
 * while tracing, variables of the SavedModel.
 * @param traces one, or three with the batch sizes `TRACED_BATCHES`
 * @throws UserError if it cannot be done for every batch size
 */
export function inlineFunction(
  graph: GraphBuilder,
  traces: readonly FunctionGraph[],
  options: InlineOptions,
): Inlined {
  const defs = traces.map((trace) => decode(GRAPH, trace.graph));
  const nodes = defs.map((def) => def.nodes);
  checkSameNodes(nodes);
  const inliner = new Inliner(graph, traces, nodes, options);
  const { versions } = defs[0]!;
  return { ...inliner.run(), ...(versions ? { versions } : {}) };
}

class Inliner {
  private readonly variables: (SavedVariable & { nodes: VariableNodes })[] = [];
  /** Names in the graph by names in the trace. */
  private readonly places = new Map<string, string>();
  private readonly captured: Map<string, FunctionGraph['captured'][number]>[];
  private readonly rules = new Map<string, string>();
  private values = 0;

  constructor(
    private readonly graph: GraphBuilder,
    private readonly traces: readonly FunctionGraph[],
    private readonly nodes: readonly (readonly NodeDef[])[],
    private readonly options: InlineOptions,
  ) {
    this.captured = traces.map(({ captured }) => new Map(captured.map((each) => [each.node, each])));
  }

  run(): Inlined {
    const { arguments: given, results } = this.traces[0]!;
    given.forEach(({ node }, i) => {
      this.places.set(node, this.options.arguments[i]!);
    });
    this.nodes[0]!.forEach((node, i) => {
      if (!this.places.has(node.name)) this.places.set(node.name, this.place(node, i));
    });
    return { results: results.map(({ node }) => this.places.get(node)!), variables: this.variables };
  }

  private place(node: NodeDef, index: number): string {
    if (this.captured[0]!.has(node.name)) return this.placeCaptured(node.name);
    if (node.op === 'Const' && this.nodes.length > 1) return this.placeConstant(node, index);
    return this.add(node);
  }

  private add({ op, name, input, attr: attributes }: NodeDef): string {
    const inputs = input.map((each) => this.renamed(each));
    return this.graph.add(op, this.options.prefix + name, inputs, Object.fromEntries(attributes));
  }

  /** `node`, `node:1` or `^node` under its new name. */
  private renamed(input: string): string {
    const [, control, name, output] = /^(\^?)([^:]*)(:\d+)?$/.exec(input)!;
    return `${control}${this.places.get(name!)!}${output ?? ''}`;
  }

  private placeConstant(node: NodeDef, index: number): string {
    const values = this.nodes.map((trace) => fromTensorProto(trace[index]!.attr.get('value')!.tensor!));
    const rule = findRule(values as unknown as ByTrace, `constant ${node.name}`);
    if (rule.kind === 'same') return this.add(node);
    return this.placeRule(node.name, rule);
  }

  /** Equal formulas share their nodes: most are the same few shapes. */
  private placeRule(name: string, rule: ComputedRule): string {
    const key =
      rule.kind === 'affine' ? `${rule.offset.shape}:${rule.offset.values}:${rule.gain.values}` : name;
    const known = this.rules.get(key);
    if (known !== undefined) return known;
    const node = this.addRule(name, rule);
    this.rules.set(key, node);
    return node;
  }

  private addRule(name: string, rule: ComputedRule): string {
    const constant = (part: string, value: HostTensor) => this.value(part, value);
    const context = { graph: this.graph, batch: this.options.batch!, constant };
    return addRule(context, this.options.prefix + name, rule);
  }

  /** A value: a constant of the graph, or a variable where it is large. */
  private value(name: string, value: HostTensor): string {
    if ((value.values as Float32Array).byteLength <= MOST_CONSTANT_BYTES)
      return this.graph.constant(name, value);
    const { dtype, shape, values } = value;
    const tensor = tf.tensor(values as Float32Array, [...shape], dtype as tf.NumericDataType);
    return this.variable(`values/${this.values++}`, tensor);
  }

  private placeCaptured(name: string): string {
    const each = this.captured.map((trace) => trace.get(name)!);
    const [{ value, variable }] = each as [FunctionGraph['captured'][number]];
    const known = variable ? this.options.names.get(variable) : undefined;
    if (known !== undefined) return this.variable(known, value);
    const hosts = each.map((one) => onHost(one.value));
    const rule = each.length === 1 ? SAME : findRule(hosts as unknown as ByTrace, `value ${name}`);
    if (rule.kind !== 'same') return this.placeRule(name, rule);
    return this.value(this.options.prefix + name, hosts[0]!);
  }

  private variable(name: string, value: tf.Tensor): string {
    const variable = { name, value };
    const nodes = addVariable(this.graph, this.options.scope, variable);
    this.variables.push({ ...variable, nodes });
    return nodes.read;
  }
}

const SAME = { kind: 'same' } as const;

function onHost(tensor: tf.Tensor): HostTensor {
  const dtype = tensor.dtype as TfDtypeName;
  return { dtype, shape: tensor.shape, values: tensor.dataSync() as TensorValues };
}

/** Adds the size of a batch as an int32 scalar: the first side of `tensor`. */
export function addBatchSize(graph: GraphBuilder, tensor: string, dtype: TfDtypeName): string {
  const shape = graph.add('Shape', 'batch/shape', [tensor], {
    T: attr.type(dtype),
    out_type: attr.type('int32'),
  });
  const [begin, end, step] = [0, 1, 1].map((value, i) =>
    graph.ints(`batch/${['begin', 'end', 'step'][i]}`, [value]),
  );
  return graph.add('StridedSlice', 'batch/size', [shape, begin!, end!, step!], {
    T: attr.type('int32'),
    Index: attr.type('int32'),
    shrink_axis_mask: attr.int(1),
    begin_mask: attr.int(0),
    end_mask: attr.int(0),
    ellipsis_mask: attr.int(0),
    new_axis_mask: attr.int(0),
  });
}
