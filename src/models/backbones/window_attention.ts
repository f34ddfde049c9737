// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** Sizes of a window attention: the windows of one picture, tokens in a window, heads. */
export interface WindowShape {
  windows: number;
  tokens: number;
  heads: number;
}

type Save = (tensors: tf.Tensor[]) => void;

/**
 * Queries, keys and values of rows by one product with the three weights joined; queries come scaled by `scale`.
 *
 * @param x `[rows, C]` @param weights query, key, value, each `[C, C]` @param biases `[C]` each, or null
 * @returns `[rows, 3 * C]`
 */
export function projectQkv(
  x: tf.Tensor2D,
  weights: readonly tf.Tensor[],
  biases: readonly tf.Tensor[] | null,
  scale: number,
): tf.Tensor2D {
  const join = ([query, key, value]: tf.Tensor[]) => tf.concat([tf.mul(query!, scale), key!, value!], 0);
  const split = (joined: tf.Tensor) => {
    const [query, key, value] = tf.split(joined, 3, 0) as [tf.Tensor, tf.Tensor, tf.Tensor];
    return [tf.mul(query, scale), key, value];
  };
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as Save;
    const [$x, ...parameters] = args as tf.Tensor[];
    const weight = join(parameters.slice(0, 3));
    save([$x!, weight]);
    const product = tf.matMul($x!, weight, false, true);
    return {
      value: biases ? tf.add(product, join(parameters.slice(3))) : product,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const dx = tf.matMul(dy, saved[1]!);
        const dWeights = split(tf.matMul(dy, saved[0]!, true, false));
        return biases ? [dx, ...dWeights, ...split(tf.sum(dy, 0))] : [dx, ...dWeights];
      },
    };
  });
  return op(x, ...weights, ...(biases ?? [])) as tf.Tensor2D;
}

/**
 * `softmax(q k^T + bias + mask) v` in each window and head. Source: Liu et al. 2021, "Swin Transformer", eq. 4.
 *
 * @param qkv `[batch * windows * tokens, 3 * C]`, queries already scaled
 * @param bias `[heads, tokens, tokens]`
 * @param mask `[windows, 1, tokens, tokens]` added to the logits, or null; no gradient flows into it
 * @returns `[batch * windows * tokens, C]`
 */
export function windowAttention(
  qkv: tf.Tensor2D,
  bias: tf.Tensor,
  mask: tf.Tensor | null,
  { windows, tokens, heads }: WindowShape,
): tf.Tensor2D {
  const [rows, channels3] = qkv.shape;
  const channels = channels3 / 3;
  const size = channels / heads;
  // Without a mask all windows of the batch are alike, and one axis holds them.
  const outer = mask ? [rows / tokens / windows, windows] : [rows / tokens];
  const n = outer.length;
  const outerAxes = outer.map((_, i) => i);
  const cut = (x: tf.Tensor) => {
    const split = x.reshape([...outer, tokens, 3, heads, size]);
    return tf.unstack(split.transpose([n + 1, ...outerAxes, n + 2, n, n + 3])) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
  };
  const op = tf.customGrad((...args) => {
    const save = args.pop() as unknown as Save;
    const [$qkv, $bias] = args as [tf.Tensor, tf.Tensor];
    const [q, k, v] = cut($qkv);
    const logits = tf.add(tf.matMul(q, k, false, true), mask ? tf.add($bias, mask) : $bias);
    const weights = tf.softmax(logits);
    const mixed = tf.matMul(weights, v);
    save([q, k, v, weights, mixed]);
    return {
      value: mixed.transpose([...outerAxes, n + 1, n, n + 2]).reshape([rows, channels]),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const upstream = dy
          .reshape([...outer, tokens, heads, size])
          .transpose([...outerAxes, n + 1, n, n + 2]);
        const { dQkv, dBias } = attentionGradient(upstream, saved, outerAxes);
        const order = [...outerAxes.map((i) => i + 1), n + 2, 0, n + 1, n + 3];
        return [dQkv.transpose(order).reshape([rows, channels3]), dBias];
      },
    };
  });
  return op(qkv, bias) as tf.Tensor2D;
}

/** @param dMixed `[..., heads, tokens, size]` @param saved q, k, v, softmax, mixed values @returns dQkv `[3, ..., heads, tokens, size]` */
function attentionGradient(
  dMixed: tf.Tensor,
  saved: tf.Tensor[],
  outerAxes: number[],
): { dQkv: tf.Tensor; dBias: tf.Tensor } {
  const [q, k, v, weights, mixed] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const dV = tf.matMul(weights, dMixed, true, false);
  const dWeights = tf.matMul(dMixed, v, false, true);
  // The mean of dWeights under the softmax is the product of output and upstream (Dao et al. 2022, eq. 4).
  const mean = tf.sum(tf.mul(dMixed, mixed), -1, true);
  const dLogits = tf.mul(weights, tf.sub(dWeights, mean));
  const dQ = tf.matMul(dLogits, k);
  const dK = tf.matMul(dLogits, q, true, false);
  return { dQkv: tf.stack([dQ, dK, dV]), dBias: tf.sum(dLogits, outerAxes) };
}

/** Where each pair of tokens of a window finds its relative position in a table of biases. */
export class RelativePositions {
  private readonly places: tf.Tensor4D;

  /**
   * @param window side of the windows in use, at most `tableWindow`
   * @param tableWindow side that the table was made for: it has `(2 * tableWindow - 1)^2` rows
   */
  constructor(
    private readonly window: number,
    private readonly tableWindow: number,
    heads: number,
  ) {
    const tokens = window * window;
    const values = new Int32Array(heads * tokens * tokens * 2);
    let next = 0;
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) {
          values[next++] = this.row(i, j);
          values[next++] = head;
        }
      }
    }
    this.places = tf.keep(tf.tensor4d(values, [heads, tokens, tokens, 2], 'int32'));
  }

  private row(i: number, j: number): number {
    const dy = Math.floor(i / this.window) - Math.floor(j / this.window);
    const dx = (i % this.window) - (j % this.window);
    const span = this.tableWindow - 1;
    return (dy + span) * (2 * this.tableWindow - 1) + dx + span;
  }

  /** @param table `[(2 * tableWindow - 1)^2, heads]` @returns `[heads, window^2, window^2]` */
  bias(table: tf.Tensor): tf.Tensor {
    const shape = table.shape as [number, number];
    return tf.customGrad((x) => ({
      value: tf.gatherND(x as tf.Tensor, this.places),
      gradFunc: (dy: tf.Tensor) => tf.scatterND(this.places, dy, shape),
    }))(table);
  }

  dispose(): void {
    this.places.dispose();
  }
}
