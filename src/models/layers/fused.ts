// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

// Functions of the hot path as single tape nodes with hand-written gradients. Beside having fewer steps, they avoid the
// stock gradients of sum, mean and relu, which build arrays of ones in JavaScript as large as their input.
// Where a gradient needs constants (index tables) the caller owns them and keeps them until the backward pass is over.

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

/**
 * Layer normalisation over the last axis. Source: Ba et al. 2016.
 *
 * @param x `[..., C]` @param weight `[C]` @param bias `[C]` @param eps added to the variance
 * @returns `[..., C]`
 */
export function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, eps: number): tf.Tensor {
  const inverse = 1 / x.shape[x.rank - 1]!;
  return withGradient(
    [x, weight, bias],
    ([$x, $weight, $bias], save) => {
      const centred = tf.sub($x!, tf.mul(tf.sum($x!, -1, true), inverse));
      const variance = tf.mul(tf.sum(tf.square(centred), -1, true), inverse);
      const scale = tf.rsqrt(tf.add(variance, eps));
      const normalised = tf.mul(centred, scale);
      save([normalised, scale, $weight!]);
      return tf.add(tf.mul(normalised, $weight!), $bias!);
    },
    (dy, [normalised, scale, $weight]) => {
      const dyn = tf.mul(dy, normalised!);
      // Means over channels of dy * weight and dy * weight * normalised, as products with a column.
      const column = tf.mul($weight!, inverse).reshape([-1, 1]);
      const shift = tf.matMul(dy, column);
      const slope = tf.matMul(dyn, column);
      const dx = tf.mul(scale!, tf.sub(tf.sub(tf.mul(dy, $weight!), shift), tf.mul(normalised!, slope)));
      return [dx, sumRows(dyn), sumRows(dy)];
    },
  );
}

/** Exact GELU, `x * Phi(x)`. Source: Hendrycks and Gimpel 2016. */
export function gelu(x: tf.Tensor): tf.Tensor {
  return withGradient(
    [x],
    ([$x], save) => {
      const phi = tf.add(tf.mul(tf.erf(tf.mul($x!, Math.SQRT1_2)), 0.5), 0.5);
      save([$x!, phi]);
      return tf.mul($x!, phi);
    },
    (dy, [$x, phi]) => {
      const density = tf.mul(tf.exp(tf.mul(tf.square($x!), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [tf.mul(dy, tf.add(phi!, tf.mul($x!, density)))];
    },
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
    (dy, [y]) => [tf.mul(dy, tf.cast(tf.greater(y!, 0), 'float32'))],
  );
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
