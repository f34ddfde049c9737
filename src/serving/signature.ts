// SPDX-License-Identifier: Apache-2.0
import { dtypeName, type HostTensor, type TfDtypeName } from '../engine/index.js';
import { type SignatureDef, shapeOf, type TensorInfo } from '../export/index.js';
import { RequestError } from './request_error.js';

/** An input or output of a signature. */
export interface Port {
  name: string;
  /** Tensor of the graph. */
  tensor: string;
  dtype: TfDtypeName;
  /** -1 where a side may have any length; null where not even the rank is known. */
  shape: readonly number[] | null;
}

/** A signature as requests are checked against it. */
export interface ServedSignature {
  name: string;
  inputs: readonly Port[];
  outputs: readonly Port[];
  /** Whether the first side of all inputs and outputs is a batch of any length. */
  batched: boolean;
}

/** Reads a signature. @throws Error for types that cannot be served */
export function readSignature(name: string, { inputs, outputs }: SignatureDef): ServedSignature {
  const ports = (infos: ReadonlyMap<string, TensorInfo>): Port[] =>
    [...infos].map(([port, info]) => ({
      name: port,
      tensor: info.name,
      dtype: dtypeName(info.dtype ?? 0),
      shape: shapeOf(info.shape),
    }));
  const signature = { name, inputs: ports(inputs), outputs: ports(outputs) };
  const all = [...signature.inputs, ...signature.outputs];
  return { ...signature, batched: all.length > 0 && all.every(({ shape }) => shape?.[0] === -1) };
}

/**
 * Checks that a signature's inputs are all there, no others, and of its shapes.
 * @throws RequestError (400) naming the input
 */
export function checkInputs(signature: ServedSignature, inputs: ReadonlyMap<string, HostTensor>): void {
  for (const { name, shape } of signature.inputs) {
    const given = inputs.get(name);
    if (given === undefined) {
      throw new RequestError(400, `input "${name}" of signature "${signature.name}" is missing`);
    }
    if (shape !== null && !fits(given.shape, shape)) {
      throw new RequestError(
        400,
        `input "${name}" must have shape ${show(shape)}, but it has ${show(given.shape)}`,
      );
    }
  }
}

function fits(shape: readonly number[], wanted: readonly number[]): boolean {
  return shape.length === wanted.length && wanted.every((side, i) => side === -1 || side === shape[i]);
}

function show(shape: readonly number[]): string {
  return `[${shape.map((side) => (side === -1 ? '?' : side)).join(', ')}]`;
}
