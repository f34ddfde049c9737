// SPDX-License-Identifier: Apache-2.0
import type { HostTensor } from '../engine/index.js';
import { type ComputedRule, notDynamic } from './batch_rules.js';
import { attr, type GraphBuilder } from './graph_builder.js';
import { encode } from './message.js';
import { ATTR_VALUE, type NodeDef } from './tensorflow_messages.js';

/** What nodes for a rule are made with. */
export interface RuleContext {
  graph: GraphBuilder;
  /** Node with the batch size, an int32 scalar. */
  batch: string;
  /** Adds a node with a value. */
  constant(name: string, value: HostTensor): string;
}

const INT = { T: attr.type('int32') };

/**
 * Adds nodes that compute a constant for any batch size.
 * @returns the node with the result
 */
export function addRule(context: RuleContext, name: string, rule: ComputedRule): string {
  const { graph, batch, constant } = context;
  if (rule.kind === 'affine') return addAffine(context, name, rule);
  const { axis } = rule;
  const { shape } = rule.kind === 'tiled' ? rule.base : rule.offset;
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)].map((sides) => sides.map(() => 1));
  if (rule.kind === 'tiled') {
    const multiples = addVector(graph, `${name}/multiples`, [...before!, batch, ...after!]);
    return graph.add('Tile', name, [constant(`${name}/base`, rule.base), multiples], {
      T: attr.type(rule.base.dtype),
      Tmultiples: attr.type('int32'),
    });
  }
  // [..., item, rows, ...]; then items and rows become one side.
  const split = [...shape.slice(0, axis), 1, ...shape.slice(axis)];
  const apart = (tensor: HostTensor): HostTensor => ({ ...tensor, shape: split });
  const first = (rule.gain.values as Int32Array).every((gain) => gain === 0)
    ? constant(`${name}/offset`, apart(rule.offset))
    : addAffine(context, `${name}/first`, { offset: apart(rule.offset), gain: apart(rule.gain) });
  const limits = [graph.ints(`${name}/zero`, 0), batch, graph.ints(`${name}/one`, 1)];
  const items = graph.add('Range', `${name}/items`, limits, { Tidx: attr.type('int32') });
  const reshape = { ...INT, Tshape: attr.type('int32') };
  const spread = graph.ints(`${name}/spread`, [...before!, -1, 1, ...after!]);
  const numbers = graph.add('Reshape', `${name}/numbers`, [items, spread], reshape);
  const moved = graph.add('Mul', `${name}/moved`, [constant(`${name}/step`, apart(rule.step)), numbers], INT);
  const all = graph.add('AddV2', `${name}/all`, [first, moved], INT);
  const joined = shape.map((side, i) => (i === axis ? -1 : side));
  return graph.add('Reshape', name, [all, graph.ints(`${name}/shape`, joined)], reshape);
}

function addAffine(
  { graph, batch, constant }: RuleContext,
  name: string,
  { offset, gain }: { offset: HostTensor; gain: HostTensor },
): string {
  const scaled = graph.add('Mul', `${name}/scaled`, [constant(`${name}/gain`, gain), batch], INT);
  return graph.add('AddV2', name, [constant(`${name}/offset`, offset), scaled], INT);
}

/** An int32 vector of numbers and scalar nodes. */
function addVector(graph: GraphBuilder, name: string, entries: readonly (number | string)[]): string {
  const nodes = entries.map((entry, i) =>
    typeof entry === 'string' ? entry : graph.ints(`${name}/${i}`, entry),
  );
  return graph.add('Pack', name, nodes, { ...INT, N: attr.int(nodes.length), axis: attr.int(0) });
}

/** @throws UserError if traces of one function differ in more than their constants */
export function checkSameNodes(traces: readonly (readonly NodeDef[])[]): void {
  const [first, ...others] = traces as [readonly NodeDef[], ...(readonly NodeDef[])[]];
  for (const other of others) {
    if (other.length !== first.length) throw notDynamic('its number of operations depends on the batch size');
    first.forEach((node, i) => {
      checkTwin(node, other[i]!);
    });
  }
}

function checkTwin(node: NodeDef, twin: NodeDef): void {
  const same = node.op === twin.op && node.name === twin.name && `${node.input}` === `${twin.input}`;
  if (!same) throw notDynamic(`operation ${node.name} depends on the batch size`);
  if (node.op === 'Const' || node.op === 'Placeholder') return;
  for (const [key, value] of node.attr) {
    const other = twin.attr.get(key);
    const equal = other && Buffer.compare(encode(ATTR_VALUE, value), encode(ATTR_VALUE, other)) === 0;
    if (!equal) throw notDynamic(`${key} of operation ${node.name} depends on the batch size`);
  }
}
