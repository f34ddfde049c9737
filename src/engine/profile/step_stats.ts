// SPDX-License-Identifier: Apache-2.0
import { type ReadField, readFields } from '../../protobuf.js';

/** One run of one node, as TensorFlow's step statistics have it. */
export interface NodeRun {
  /** Name of the node. */
  name: string;
  /** Its op. */
  op: string;
  /** Milliseconds in its kernel. */
  milliseconds: number;
  /** Shape of its first output; null if it has none, or none that is known. */
  shape: number[] | null;
}

// Numbers of fields in tensorflow/core/framework/step_stats.proto and what it holds.
const RUN_METADATA = { stepStats: 1 } as const;
const STEP_STATS = { devices: 1 } as const;
const DEVICE = { name: 1, nodes: 2 } as const;
const NODE = { name: 1, output: 7, label: 8, startNanos: 14, endNanos: 15 } as const;
const OUTPUT = { slot: 1, tensor: 3 } as const;
const TENSOR = { shape: 2 } as const;
const SHAPE = { dim: 2 } as const;
const DIM = { size: 1 } as const;

/** The nodes that ran, from a serialized tensorflow.RunMetadata; a device's copies of its streams are left out. */
export function readNodeRuns(metadata: Uint8Array): NodeRun[] {
  return all(metadata, RUN_METADATA.stepStats)
    .flatMap((stats) => all(stats, STEP_STATS.devices))
    .filter((device) => !all(device, DEVICE.name).some((name) => textOf(name).includes('/stream:')))
    .flatMap((device) => all(device, DEVICE.nodes))
    .map(readNode);
}

function readNode(bytes: Uint8Array): NodeRun {
  const fields = [...readFields(bytes)];
  const number = (wanted: number) => Number(fields.find((field) => field.number === wanted)?.integer ?? 0n);
  const text = (wanted: number) => textOf(fields.find((field) => field.number === wanted)?.bytes);
  const name = text(NODE.name);
  return {
    name,
    op: opOf(text(NODE.label)),
    milliseconds: (number(NODE.endNanos) - number(NODE.startNanos)) / 1e6,
    shape: firstShape(fields),
  };
}

/** `name = Op(inputs)` */
function opOf(label: string): string {
  return /= ([^(]+)\(/.exec(label)?.[1] ?? label;
}

function firstShape(fields: readonly ReadField[]): number[] | null {
  for (const { number, bytes } of fields) {
    if (number !== NODE.output || integer(bytes, OUTPUT.slot) !== 0) continue;
    const shape = all(bytes, OUTPUT.tensor).flatMap((tensor) => all(tensor, TENSOR.shape))[0];
    return shape ? all(shape, SHAPE.dim).map((dim) => integer(dim, DIM.size)) : null;
  }
  return null;
}

/** Every message of a field. */
function all(message: Uint8Array, wanted: number): Uint8Array[] {
  return [...readFields(message)].filter(({ number }) => number === wanted).map(({ bytes }) => bytes);
}

function integer(message: Uint8Array, wanted: number): number {
  return Number([...readFields(message)].find(({ number }) => number === wanted)?.integer ?? 0n);
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes ? Buffer.from(bytes).toString() : '';
}
