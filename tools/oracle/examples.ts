// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { type TensorToWrite, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { Random } from '../../src/random.js';

/** Weights as programs of others read them, with a question and our answer beside them. */
export interface WeightsCase {
  name: string;
  write(folder: string): Promise<void>;
}

/** Two pictures of noise, the second with padding behind `inner`. */
export function pictures([height, width]: [number, number], inner: [number, number]) {
  const random = new Random(13);
  const values = Float32Array.from({ length: 2 * height * width * 3 }, () => random.normal());
  const all = tf.ones([height, width]);
  const part = tf.pad(tf.ones(inner), [
    [0, height - inner[0]],
    [0, width - inner[1]],
  ]);
  const mask = tf.stack([all, part]) as tf.Tensor3D;
  const pixels = tf.mul(tf.tensor4d(values, [2, height, width, 3]), tf.expandDims(mask, 3)) as tf.Tensor4D;
  return { pixels, mask };
}

export function channelsFirst(map: tf.Tensor4D): tf.Tensor {
  return tf.transpose(map, [0, 3, 1, 2]);
}

export function floats(tensor: tf.Tensor): TensorToWrite {
  return { shape: tensor.shape, data: tensor.dataSync() as Float32Array };
}

/** As PyTorch's long. */
export function integers(tensor: tf.Tensor): TensorToWrite {
  return { shape: tensor.shape, data: BigInt64Array.from(tensor.dataSync(), BigInt) };
}

export function writeExample(folder: string, tensors: Record<string, TensorToWrite>): void {
  writeSafetensors(join(folder, 'example.safetensors'), Object.entries(tensors));
}
