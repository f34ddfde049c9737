// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../../engine/index.js';

// Functions of the hot path as single tape nodes with hand-written gradients. They take fewer steps than TensorFlow.js's own
// gradients, some of which (relu, sum, mean) fill arrays of ones in JavaScript as large as their input.

/** Saves tensors of a forward pass for its gradient. */
type Save = (tensors: tf.Tensor[]) => void;

/** Types tf.customGrad, whose own signature is that of any variadic function. */
function withGradient(
  inputs: tf.Tensor[],
  forward: (inputs: tf.Tensor[], save: Save) => tf.Tensor,
  backward: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[],
): tf.Tensor {
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as Save;
    return {
      value: forward(args as tf.Tensor[], save),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => backward(dy, saved),
    };
  });
  return op(...inputs);
}

/** Sum over all axes but the last. */
function sumRows(x: tf.Tensor): tf.Tensor {
  return tf.sum(
    x,
    Array.from({ length: x.rank - 1 }, (_, i) => i),
  );
}

/** max(x, 0); its gradient at 0 is 0. */
export function relu(x: tf.Tensor): tf.Tensor {
  return withGradient(
    [x],
    ([$x], save) => {
      const y = tf.relu($x!);
      save([y]);
      return y;
    },
    (dy, [y]) => [reluGradient(dy, y!)],
  );
}

function reluGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  if (tf.getBackend() === 'tensorflow') {
    return runOp('ReluGrad', [opAttr.type('T', 'float32')], [dy, y], 1)[0]!;
  }
  return tf.mul(dy, tf.cast(tf.greater(y, 0), 'float32'));
}

/** `x W^T + b` on rows. @param x `[rows, in]` @param weight `[out, in]` @param bias `[out]` or null @returns `[rows, out]` */
export function linearRows(x: tf.Tensor2D, weight: tf.Tensor, bias: tf.Tensor | null): tf.Tensor2D {
  const y = withGradient(
    bias ? [x, weight, bias] : [x, weight],
    ([$x, $weight, $bias], save) => {
      save([$x!, $weight!]);
      const product = tf.matMul($x!, $weight!, false, true);
      return $bias ? tf.add(product, $bias) : product;
    },
    (dy, [$x, $weight]) => {
      const dx = tf.matMul(dy, $weight!);
      const dWeight = tf.matMul(dy, $x!, true, false);
      return bias ? [dx, dWeight, sumRows(dy)] : [dx, dWeight];
    },
  );
  return y as tf.Tensor2D;
}
