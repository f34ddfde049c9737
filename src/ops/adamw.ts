// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'adamW';
const KERNEL = 'TfgeoAdamW';
const NORM_KERNEL = 'TfgeoSquaredNorm';

/** Vectors of one length: parameters that lie one after the other, their moments, and their averages, if they are kept. */
export interface AdamWVectors {
  param: tf.Tensor1D;
  first: tf.Tensor1D;
  second: tf.Tensor1D;
  average: tf.Tensor1D | null;
}

export interface AdamWResult {
  next: AdamWVectors;
  /** The new parameters one by one, in the shapes of the gradients. */
  values: tf.Tensor[];
}

/**
 * One step of AdamW as one operation: decay first, then the step, with bias corrections in the numbers; averages move a
 * share of the way to the new parameters. Has no gradient. Source: Loshchilov and Hutter 2019.
 *
 * @param gradients of the parameters, in the order in which they lie in the vectors
 * @param numbers `[4]`: what parameters are first multiplied with; what is added to the root of the second moments; the
 *   rate; the share
 * @param scale scalar that gradients are first multiplied with
 * @param betas of the first and second moments
 */
export function adamW(
  vectors: AdamWVectors,
  gradients: readonly tf.Tensor[],
  numbers: tf.Tensor1D,
  scale: tf.Scalar,
  betas: readonly [number, number],
  options: OpOptions = {},
): AdamWResult {
  const size = gradients.reduce((sum, gradient) => sum + gradient.size, 0);
  if (gradients.length === 0) throw argumentError(OP, 'at least one tensor', 'gradients', 'none');
  checkTensor(OP, 'numbers', numbers, 'float32', '[4]', [4]);
  checkTensor(OP, 'scale', scale, 'float32', '[]', []);
  for (const [name, vector] of Object.entries(vectors))
    if (vector !== null) checkTensor(OP, name, vector as tf.Tensor, 'float32', '[size]', [size]);
  if (!useNative(OP, adamWRegistration, options))
    return adamWPlain(vectors, gradients, numbers, scale, betas);
  const { param, first, second, average } = vectors;
  const inputs = [numbers, scale, param, first, second, average ?? param, ...gradients];
  const attrs = { betas: [...betas], averages: average !== null };
  const outputs = tf
    .engine()
    .runKernel(KERNEL, inputs as unknown as tf.NamedTensorMap, attrs) as unknown as tf.Tensor[];
  const [nextParam, nextFirst, nextSecond, nextAverage] = outputs as tf.Tensor1D[];
  if (average === null) nextAverage!.dispose();
  return {
    next: {
      param: nextParam!,
      first: nextFirst!,
      second: nextSecond!,
      average: average && nextAverage!,
    },
    values: outputs.slice(4),
  };
}

/** The meaning of the native op, in TensorFlow.js operations. */
export function adamWPlain(
  { param, first, second, average }: AdamWVectors,
  gradients: readonly tf.Tensor[],
  numbers: tf.Tensor1D,
  scale: tf.Scalar,
  [beta1, beta2]: readonly [number, number],
): AdamWResult {
  const sizes = gradients.map((gradient) => gradient.size);
  const { next, values } = tf.tidy(() => {
    const flat = gradients.map((gradient) => tf.reshape(gradient, [gradient.size]) as tf.Tensor1D);
    const gradient = tf.mul(flat.length === 1 ? flat[0]! : tf.concat1d(flat), scale);
    const [decay, epsilon, rate, share] = tf.unstack(numbers) as [tf.Scalar, tf.Scalar, tf.Scalar, tf.Scalar];
    const nextFirst = tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)) as tf.Tensor1D;
    const squares = tf.mul(tf.square(gradient), 1 - beta2);
    const nextSecond = tf.add(tf.mul(second, beta2), squares) as tf.Tensor1D;
    const step = tf.mul(tf.div(nextFirst, tf.add(tf.sqrt(nextSecond), epsilon)), rate);
    const nextParam = tf.sub(tf.mul(param, decay), step) as tf.Tensor1D;
    const nextAverage = average && tf.add(average, tf.mul(tf.sub(nextParam, average), share));
    const pieces = sizes.length === 1 ? [nextParam] : tf.split(nextParam, sizes, 0);
    const result = {
      next: {
        param: nextParam,
        first: nextFirst,
        second: nextSecond,
        average: nextAverage as tf.Tensor1D | null,
      },
      values: pieces.map((piece, i) => tf.reshape(piece, gradients[i]!.shape)),
    };
    return result as unknown as tf.TensorContainer;
  }) as unknown as AdamWResult;
  return { next, values };
}

/** Sum of the squares of all values of all tensors. @returns scalar */
export function squaredNorm(tensors: readonly tf.Tensor[], options: OpOptions = {}): tf.Scalar {
  if (tensors.length === 0) return tf.scalar(0);
  if (!useNative('squaredNorm', adamWRegistration, options)) return squaredNormPlain(tensors);
  return tf.engine().runKernel(NORM_KERNEL, [...tensors] as unknown as tf.NamedTensorMap) as tf.Scalar;
}

/** The meaning of the native op, in TensorFlow.js operations. */
export function squaredNormPlain(tensors: readonly tf.Tensor[]): tf.Scalar {
  return tf.tidy(() => tf.addN(tensors.map((tensor) => tf.sum(tf.square(tensor)))) as tf.Scalar);
}

/** Rows of the registration list, see index.ts. */
export const adamWRegistration: OpRegistration = {
  cpuOnly: true,
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        const list = inputs as unknown as tf.Tensor[];
        const { betas, averages } = attrs as unknown as { betas: [number, number]; averages: boolean };
        const count = list.length - 6;
        const given = [
          opAttr.int('N', count),
          opAttr.float('beta1', betas[0]),
          opAttr.float('rest1', 1 - betas[0]),
          opAttr.float('beta2', betas[1]),
          opAttr.float('rest2', 1 - betas[1]),
          opAttr.bool('averages', averages),
        ];
        return runOp(KERNEL, given, list, 4 + count);
      },
    },
    {
      kernelName: NORM_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs }) => {
        const list = inputs as unknown as tf.Tensor[];
        return runOp(NORM_KERNEL, [opAttr.int('N', list.length)], list, 1)[0]!;
      },
    },
  ],
  gradients: [],
};
