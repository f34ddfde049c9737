// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import {
  type NativeBinding,
  type OpAttr,
  type TensorId,
  type TensorMetadata,
  TF_DTYPE,
  type TfDtypeName,
} from './binding.js';
import type { NodeBackend } from './kernels.js';
import { opAttr } from './op_attr.js';
import { TENSORFLOW_BACKEND } from './tensorflow_engine.js';

/** A tensor in a type that tfjs may not have, or a constant that is no tensor of tfjs. */
export type OpInput =
  | tf.Tensor
  | { tensor: tf.Tensor; as: TfDtypeName }
  | { shape: readonly number[]; int32: Int32Array };

/**
 * Runs a TensorFlow op by name, with any number of inputs and outputs. List inputs are given one after the other,
 * with the attribute that counts them (`N`) set.
 *
 * tfjs has fewer types than TensorFlow: 64-bit and small integers come back as int32, other floats as float32.
 * @param numOutputs how many outputs the op has; with fewer, the rest is dropped by TensorFlow's own rules.
 * @throws Error with TensorFlow's message; UserError if the engine is not `tensorflow`.
 */
export function runOp(
  name: string,
  attrs: readonly OpAttr[],
  inputs: readonly OpInput[],
  numOutputs: number,
): tf.Tensor[] {
  const backend = nodeBackend();
  const { binding } = backend;
  const own: TensorId[] = [];
  try {
    const ids = inputs.map((input) => {
      if (!('tensor' in input || 'int32' in input)) return backend.getInputTensorIds([input])[0]!;
      own.push(makeInput(backend, input));
      return own.at(-1)!;
    });
    const outputs = binding.executeOp(name, attrs, ids, numOutputs);
    return outputs.map((output) => backend.createOutputTensor(asTfjsType(binding, output)));
  } finally {
    for (const id of own) binding.deleteTensor(id);
  }
}

/** An input that lives as long as the op runs. */
function makeInput(backend: NodeBackend, input: Exclude<OpInput, tf.Tensor>): TensorId {
  const { binding } = backend;
  if ('int32' in input) return binding.createTensor(input.shape, TF_DTYPE.int32, input.int32);
  const [id] = backend.getInputTensorIds([input.tensor]);
  return cast(binding, id!, TF_DTYPE[input.tensor.dtype as TfDtypeName], input.as).id;
}

function cast(binding: NativeBinding, id: TensorId, from: number, to: TfDtypeName): TensorMetadata {
  const attrs = [
    { name: 'SrcT', type: opAttr.type('', 'int32').type, value: from },
    opAttr.type('DstT', to),
    opAttr.bool('Truncate', false),
  ];
  return binding.executeOp('Cast', attrs, [id], 1)[0]!;
}

/** Casts an output whose type tfjs does not have; a type with no numbers in it stays as it is. */
function asTfjsType(binding: NativeBinding, output: TensorMetadata): TensorMetadata {
  const to = CAST_TO.get(output.dtype);
  if (to === undefined) return output;
  try {
    return cast(binding, output.id, output.dtype, to);
  } finally {
    binding.deleteTensor(output.id);
  }
}

const CAST_TO = new Map<number, 'int32' | 'float32'>([
  [TF_DTYPE.int64, 'int32'],
  [TF_DTYPE.int16, 'int32'],
  [TF_DTYPE.int8, 'int32'],
  [TF_DTYPE.uint8, 'int32'],
  [TF_DTYPE.float64, 'float32'],
  [TF_DTYPE.float16, 'float32'],
  [TF_DTYPE.bfloat16, 'float32'],
]);

/** The addon, for what tfjs has no words for. @throws UserError if the engine is not `tensorflow`. */
export function nativeBinding(): NativeBinding {
  return nodeBackend().binding;
}

function nodeBackend(): NodeBackend {
  const backend = tf.findBackend(TENSORFLOW_BACKEND) as NodeBackend | null;
  if (backend === null) {
    throw new UserError(
      "TensorFlow ops by name need engine 'tensorflow'; call `await ready({ engine: 'tensorflow' })` first",
      EXIT_CODES.engine,
    );
  }
  return backend;
}

/**
 * A zeroed Float32Array that engine `tensorflow` uses as a tensor without copying it: fill it, pass it to
 * `tf.tensor`, and don't write to it again while that tensor lives.
 */
export function alignedFloat32(length: number): Float32Array {
  if (tf.findBackend(TENSORFLOW_BACKEND) === null) return new Float32Array(length);
  return new Float32Array(nativeBinding().allocate(length * 4));
}
