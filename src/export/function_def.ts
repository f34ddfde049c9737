// SPDX-License-Identifier: Apache-2.0
import { TF_DTYPE, type TfDtypeName } from '../engine/index.js';
import { opDefinitions } from './op_definitions.js';
import type { FunctionDef, NodeDef } from './tensorflow_messages.js';

/** An argument or result of a function. */
export interface FunctionPort {
  name: string;
  dtype: TfDtypeName;
}

/**
 * A TensorFlow function from nodes as a graph has them. Engine `tensorflow` must be ready.
 * @param inputs the names that nodes use for its arguments
 * @param outputs its results, and the nodes (`node`, `node:1`) that give them
 */
export function functionDef(
  name: string,
  nodes: readonly NodeDef[],
  inputs: readonly FunctionPort[],
  outputs: readonly (FunctionPort & { from: string })[],
): FunctionDef {
  const args = new Set(inputs.map((input) => input.name));
  const ops = new Map(nodes.map((node) => [node.name, node.op]));
  /** Inside functions, an output is `node:name of the output:number within it`. */
  const local = (input: string): string => {
    if (args.has(input) || input.startsWith('^')) return input;
    const [node, index = '0'] = input.split(':') as [string, string?];
    const output = opDefinitions().get(ops.get(node) ?? '')?.outputArg[Number(index)];
    if (output === undefined) throw new Error(`function ${name}: there is no output ${input}`);
    return `${node}:${output.name}:0`;
  };
  const arg = ({ name: argument, dtype }: FunctionPort) => ({ name: argument, type: TF_DTYPE[dtype] });
  return {
    signature: { name, inputArg: inputs.map(arg), outputArg: outputs.map(arg), attr: [] },
    nodes: nodes.map((node) => ({ ...node, input: node.input.map(local) })),
    ret: new Map(outputs.map((output) => [output.name, local(output.from)])),
    attr: new Map(),
  };
}
