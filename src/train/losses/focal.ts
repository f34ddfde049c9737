// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** Settings of the focal loss. */
export interface FocalOptions {
  /** Weight of positives, `1 - alpha` of negatives; -1 (any negative number) = unweighted. */
  alpha: number;
  /** Exponent of the modulating factor; 0 = plain cross-entropy. */
  gamma: number;
}

/** Deformable DETR's and most others' settings. */
export const FOCAL_DEFAULTS: FocalOptions = { alpha: 0.25, gamma: 2 };

/**
 * Sigmoid focal loss of every logit: `alpha_t (1 - p_t)^gamma * cross-entropy`, finite for logits of any size.
 *
 * Source: Lin et al. 2017. The gradient is written out: logits are the largest tensors of a set loss.
 * @param logits `[...]`
 * @param targets the same shape, values in [0, 1]; constants (they get no gradient)
 * @returns `[...]`, unreduced
 */
export function sigmoidFocal(
  logits: tf.Tensor,
  targets: tf.Tensor,
  { alpha, gamma }: FocalOptions = FOCAL_DEFAULTS,
): tf.Tensor {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const p = tf.sigmoid(x);
    const crossEntropy = tf.sub(tf.softplus(x), tf.mul(x, targets));
    const sign = tf.sub(1, tf.mul(2, targets));
    const miss = tf.add(targets, tf.mul(p, sign)); // 1 - p_t
    const factor = power(miss, gamma);
    const weight = alpha < 0 ? null : tf.add(1 - alpha, tf.mul(2 * alpha - 1, targets));
    const value = weighted(tf.mul(factor, crossEntropy), weight);
    save([p, targets, crossEntropy, sign, miss, factor, ...(weight ? [weight] : [])]);
    return { value, gradFunc: (dy, saved) => focalGrad(dy, saved, gamma) };
  });
  return op(logits);
}

/**
 * Focal loss whose positives are qualities in (0, 1]: `alpha_t |t - p|^2 * cross-entropy`, 0 where the probability is the
 * quality. With targets of 0 and 1 it is {@link sigmoidFocal} with gamma 2.
 *
 * Source: quality focal loss, Li et al. 2020 (Generalized Focal Loss), with focal loss's alpha.
 * @param logits `[...]` @param targets the same shape, constants @returns `[...]`, unreduced
 */
export function qualityFocal(logits: tf.Tensor, targets: tf.Tensor, alpha = FOCAL_DEFAULTS.alpha): tf.Tensor {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const p = tf.sigmoid(x);
    const crossEntropy = tf.sub(tf.softplus(x), tf.mul(x, targets));
    const miss = tf.sub(p, targets);
    const positive = tf.cast(tf.greater(targets, 0), 'float32');
    const weight = tf.add(1 - alpha, tf.mul(2 * alpha - 1, positive));
    save([p, crossEntropy, miss, weight]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [q, ce, m, w] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      // d/dx [m^2 ce] with m' = p (1 - p) and ce' = m.
      const slope = tf.add(tf.square(m), tf.mul(tf.mul(2, ce), tf.mul(q, tf.sub(1, q))));
      return tf.mul(tf.mul(dy, w), tf.mul(m, slope));
    };
    return { value: tf.mul(weight, tf.mul(tf.square(miss), crossEntropy)), gradFunc };
  });
  return op(logits);
}

/** d/dx [ce f] with ce' = p - t and f' = gamma (1 - p_t)^(gamma - 1) p (1 - p) (1 - 2 t). */
function focalGrad(dy: tf.Tensor, saved: tf.Tensor[], gamma: number): tf.Tensor {
  const [p, targets, crossEntropy, sign, miss, factor, weight] = saved as tf.Tensor[];
  let gradient = tf.mul(tf.sub(p!, targets!), factor!);
  if (gamma !== 0) {
    const slope = tf.mul(tf.mul(p!, tf.sub(1, p!)), sign!);
    // Below 1 the power has a pole at 0, where `slope` is 0: keep it away from there.
    const base = gamma < 1 ? tf.maximum(miss!, 1e-12) : miss!;
    const modulation = tf.mul(tf.mul(crossEntropy!, slope), power(base, gamma - 1));
    gradient = tf.add(gradient, gamma === 1 ? modulation : tf.mul(gamma, modulation));
  }
  return tf.mul(dy, weighted(gradient, weight ?? null));
}

function weighted(x: tf.Tensor, weight: tf.Tensor | null): tf.Tensor {
  return weight ? tf.mul(x, weight) : x;
}

/** `x^n`, without the slow general power where n is 0, 1 or 2. */
export function power(x: tf.Tensor, n: number): tf.Tensor {
  if (n === 0) return tf.onesLike(x);
  if (n === 1) return x;
  return n === 2 ? tf.square(x) : tf.pow(x, n);
}
