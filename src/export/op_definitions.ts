// SPDX-License-Identifier: Apache-2.0
import { nativeBinding } from '../engine/index.js';
import { decode, encode } from './message.js';
import { ATTR_VALUE, type NodeDef, OP_LIST, type OpDef } from './tensorflow_messages.js';

let definitions: Map<string, OpDef> | null = null;

/** Definitions of all ops of this process by name. Engine `tensorflow` must be ready. */
export function opDefinitions(): ReadonlyMap<string, OpDef> {
  definitions ??= new Map(decode(OP_LIST, nativeBinding().opDefinitions()).op.map((op) => [op.name, op]));
  return definitions;
}

/** Takes out attributes that have their default value, so that older TensorFlows, which may not know them, load the graph. */
export function stripDefaults(nodes: readonly NodeDef[]): void {
  for (const { op, attr } of nodes) {
    for (const { name, defaultValue } of opDefinitions().get(op)?.attr ?? []) {
      const value = attr.get(name);
      if (value === undefined || defaultValue === undefined) continue;
      const same = Buffer.compare(encode(ATTR_VALUE, value), encode(ATTR_VALUE, defaultValue)) === 0;
      if (same) attr.delete(name);
    }
  }
}
