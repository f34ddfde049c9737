// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { isTracing, type OpAttr, opAttr, runOp } from '../../engine/index.js';

// Functions of the hot path as single tape nodes with hand-written gradients. They take fewer steps than TensorFlow.js's own
// gradients, some of which (relu, sum, mean) fill arrays of ones in JavaScript as large as their input.

/** Saves tensors of a forward pass for its gradient. */
export type Save = (tensors: tf.Tensor[]) => void;

/** tfjs's way to record a function with a gradient of its own, gradients of the inputs on demand. */
interface Recorder {
  runKernelFunc<R extends tf.Tensor | tf.Tensor[]>(call: {
    forwardFunc(backend: unknown, save: Save): R;
    backwardsFunc(dy: R, saved: tf.Tensor[]): Record<string, () => tf.Tensor>;
    inputs: Record<string, tf.Tensor>;
  }): R;
}

/**
 * Runs `forward` as one node of the tape. `tf.customGrad` does the same, but takes the gradients of all inputs: here those
 * nobody asks for (frozen weights, pixels) are not computed.
 * @param backward gives a function for each input, in order
 */
export function withGradient<R extends tf.Tensor | tf.Tensor[] = tf.Tensor>(
  inputs: readonly tf.Tensor[],
  forward: (save: Save) => R,
  backward: (dy: R, saved: tf.Tensor[]) => (() => tf.Tensor)[],
): R {
  return (tf.engine() as unknown as Recorder).runKernelFunc<R>({
    forwardFunc: (_, save) => forward(save),
    backwardsFunc: (dy, saved) => ({ ...backward(dy, saved) }) as unknown as Record<string, () => tf.Tensor>,
    inputs: Object.fromEntries(inputs.map((input, i) => [i, input])),
  });
}

/** Whether TensorFlow's operations can be run by name. */
export function hasTensorFlowOps(): boolean {
  return tf.getBackend() === 'tensorflow';
}

/**
 * A TensorFlow operation with a bias and ReLU behind it. While a function is traced they stay three operations: TensorFlow
 * fuses them when it optimises the graph, and a graph that is exported holds nothing but public operations.
 * @param op `Conv2D` or `MatMul` @param inputs two tensors @param bias `[channels]` or null
 */
export function withBias(
  op: 'Conv2D' | 'MatMul',
  attrs: readonly OpAttr[],
  inputs: readonly tf.Tensor[],
  bias: tf.Tensor | null,
  activation: 'relu' | null,
): tf.Tensor {
  if (bias && !isTracing()) {
    const fused = [
      ...attrs,
      opAttr.int('num_args', 1),
      opAttr.string('fused_ops', activation ? ['BiasAdd', 'Relu'] : ['BiasAdd']),
      ...(op === 'Conv2D' ? [opAttr.type('TArgs', ['float32'])] : []),
    ];
    return runOp(`_Fused${op}`, fused, [...inputs, bias], 1)[0]!;
  }
  const product = runOp(op, attrs, inputs, 1)[0]!;
  const type = opAttr.type('T', 'float32');
  const biased = bias
    ? runOp('BiasAdd', [type, opAttr.string('data_format', 'NHWC')], [product, bias], 1)[0]!
    : product;
  return activation ? tf.relu(biased) : biased;
}

/** Sum over all axes but the last. */
export function sumRows(x: tf.Tensor): tf.Tensor {
  return tf.sum(
    x,
    Array.from({ length: x.rank - 1 }, (_, i) => i),
  );
}

/** max(x, 0); its gradient at 0 is 0. */
export function relu(x: tf.Tensor): tf.Tensor {
  return withGradient(
    [x],
    (save) => {
      const y = tf.relu(x);
      save([y]);
      return y;
    },
    (dy, [y]) => [() => reluGradient(dy, y!)],
  );
}

/** max(a + b, 0) for tensors of one shape. */
export function addRelu<T extends tf.Tensor>(a: T, b: T): T {
  const y = withGradient(
    [a, b],
    (save) => {
      const value = tf.relu(tf.add(a, b));
      save([value]);
      return value;
    },
    (dy, [value]) => {
      const gradient = reluGradient(dy, value!);
      return [() => gradient.clone(), () => gradient.clone()];
    },
  );
  return y as T;
}

/** Gradient of `y = max(x, 0)` for x. */
export function reluGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  if (tf.getBackend() === 'tensorflow') {
    return runOp('ReluGrad', [opAttr.type('T', 'float32')], [dy, y], 1)[0]!;
  }
  return tf.mul(dy, tf.cast(tf.greater(y, 0), 'float32'));
}

/**
 * `x W^T + b` on rows, with ReLU behind it if wanted.
 * @param x `[rows, in]` @param weight `[out, in]` @param bias `[out]` or null @returns `[rows, out]`
 */
export function linearRows(
  x: tf.Tensor2D,
  weight: tf.Tensor,
  bias: tf.Tensor | null,
  activation: 'relu' | null = null,
): tf.Tensor2D {
  const y = withGradient(
    bias ? [x, weight, bias] : [x, weight],
    (save) => {
      const value = matMulBias(x, weight, bias, activation);
      save(activation ? [x, weight, value] : [x, weight]);
      return value;
    },
    (dy, [$x, $weight, value]) => {
      const inner = value ? reluGradient(dy, value) : dy;
      const gradients = [
        () => tf.matMul(inner, $weight!) as tf.Tensor,
        () => tf.matMul(inner, $x!, true, false) as tf.Tensor,
      ];
      return bias ? [...gradients, () => sumRows(inner)] : gradients;
    },
  );
  return y as tf.Tensor2D;
}

function matMulBias(
  x: tf.Tensor2D,
  weight: tf.Tensor,
  bias: tf.Tensor | null,
  activation: 'relu' | null,
): tf.Tensor {
  if (hasTensorFlowOps()) {
    const attrs = [
      opAttr.type('T', 'float32'),
      opAttr.bool('transpose_a', false),
      opAttr.bool('transpose_b', true),
    ];
    return withBias('MatMul', attrs, [x, weight], bias, activation);
  }
  const product = tf.matMul(x, weight, false, true);
  const biased = bias ? tf.add(product, bias) : product;
  return activation ? tf.relu(biased) : biased;
}
