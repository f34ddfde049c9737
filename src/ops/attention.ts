// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';

const OP = 'attention';
const KERNEL = 'TfgeoAttention';
const GRAD_KERNEL = 'TfgeoAttentionGrad';

/** Which tensors hold queries, keys and values; those that share one lie side by side in its channels. */
export type AttentionLayout = 'q,k,v' | 'qk,v' | 'q,kv' | 'qkv';

export interface AttentionOptions extends OpOptions {
  /** `[heads or 1, Q or 1, K]`, added to the scores. */
  bias?: tf.Tensor | null;
  /** `[sequences, heads or 1, Q or 1, K]`, added to the scores; sequence b takes that of number b % sequences. A constant. */
  mask?: tf.Tensor | null;
  /** What products of queries and keys are multiplied with; default 1 / sqrt(channels of a head). */
  scale?: number;
}

/** With more keys than this, products of whole matrices are faster than a kernel that goes through the keys query by query. */
const MOST_KEYS = 1024;

interface Attributes {
  layout: AttentionLayout;
  heads: number;
  scale: number;
}

/**
 * Softmax attention by heads, `softmax(scale q k^T + bias + mask) v`, as one operation that reads queries, keys and values
 * where they lie; in training, scores are computed again, not kept. Differentiable in the tensors and the bias.
 * Source: Vaswani et al. 2017, "Attention Is All You Need".
 *
 * @param tensors as `layout` says: `[batch, tokens, n * C]`, n of queries, keys and values side by side
 * @returns `[batch, Q, C]`
 */
export function attention(
  layout: AttentionLayout,
  tensors: readonly tf.Tensor[],
  heads: number,
  options: AttentionOptions = {},
): tf.Tensor3D {
  const { bias = null, mask = null } = options;
  if (bias && bias.rank !== 3)
    throw argumentError(OP, 'shape [heads, Q, K]', 'bias', `[${bias.shape.join(', ')}]`);
  if (mask && mask.rank !== 4)
    throw argumentError(OP, 'shape [sequences, heads, Q, K]', 'mask', `[${mask.shape.join(', ')}]`);
  const channels = checkTensors(layout, tensors, heads);
  const attributes = { layout, heads, scale: options.scale ?? Math.sqrt(heads / channels) };
  const keys = tensors[layout.split(',').findIndex((part) => part.includes('k'))]!.shape[1]!;
  const path = keys > MOST_KEYS && (options.path ?? 'auto') === 'auto' ? 'plain' : options.path;
  if (!useNative(OP, attentionRegistration, path ? { path } : {}))
    return attentionPlain(tensors, bias, mask, attributes);
  const inputs = [bias ?? tf.zeros([0]), mask ?? tf.zeros([0]), ...tensors];
  const [output, statistics] = tf.engine().runKernel(KERNEL, inputs as unknown as tf.NamedTensorMap, {
    ...attributes,
  }) as unknown as [tf.Tensor3D, tf.Tensor];
  statistics.dispose();
  if (!bias) inputs[0]!.dispose();
  if (!mask) inputs[1]!.dispose();
  return output;
}

/** Channels of the output. @throws Error naming what is wrong with the tensors */
function checkTensors(layout: AttentionLayout, tensors: readonly tf.Tensor[], heads: number): number {
  const parts = layout.split(',');
  if (parts.length !== tensors.length)
    throw argumentError(OP, `${parts.length} tensors`, `layout ${layout}`, `${tensors.length}`);
  const [batch, , width] = tensors[0]!.shape as [number, number, number];
  const channels = width / parts[0]!.length;
  if (!(Number.isInteger(channels / heads) && channels > 0)) {
    const expected = `[batch, tokens, ${parts[0]!.length} times a multiple of ${heads} heads]`;
    throw argumentError(OP, `shape ${expected}`, parts[0]!, `[${tensors[0]!.shape.join(', ')}]`);
  }
  tensors.forEach((tensor, i) => {
    const expected = [batch, null, channels * parts[i]!.length];
    checkTensor(OP, parts[i]!, tensor, 'float32', '[batch, tokens, channels]', expected);
  });
  return channels;
}

/** Queries, keys and values `[batch, tokens, C]` each. */
function splitTensors(
  layout: AttentionLayout,
  tensors: readonly tf.Tensor[],
): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const parts = layout.split(',').map((name) => name.length);
  return tensors.flatMap((tensor, i) =>
    parts[i] === 1 ? [tensor] : (tf.split(tensor, parts[i]!, -1) as tf.Tensor[]),
  ) as [tf.Tensor, tf.Tensor, tf.Tensor];
}

/** The meaning of the native op, in TensorFlow.js operations. */
export function attentionPlain(
  tensors: readonly tf.Tensor[],
  bias: tf.Tensor | null,
  mask: tf.Tensor | null,
  { layout, heads, scale }: Attributes,
): tf.Tensor3D {
  const [q, k, v] = splitTensors(layout, tensors);
  const [batch, queries, channels] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  const byHead = (x: tf.Tensor, length: number) =>
    tf.transpose(x.reshape([batch, length, heads, channels / heads]), [0, 2, 1, 3]);
  let scores = tf.matMul(tf.mul(byHead(q, queries), scale), byHead(k, keys), false, true);
  if (bias) scores = tf.add(scores, bias);
  if (mask && mask.shape[0] !== 1 && mask.shape[0] !== batch) {
    const [sequences, ...others] = mask.shape as [number, number, number, number];
    const grouped = tf.reshape(scores, [batch / sequences, sequences, heads, queries, keys]);
    scores = tf.reshape(tf.add(grouped, tf.reshape(mask, [1, sequences, ...others])), scores.shape);
  } else if (mask) {
    scores = tf.add(scores, mask);
  }
  const attended = tf.matMul(tf.softmax(scores), byHead(v, keys)); // [batch, heads, Q, C / heads]
  return tf.transpose(attended, [0, 2, 1, 3]).reshape([batch, queries, channels]);
}

function attributesOf(attrs: unknown, count: number) {
  const { layout, heads, scale } = attrs as Attributes;
  return [
    opAttr.int('N', count),
    opAttr.int('heads', heads),
    opAttr.float('scale', scale),
    opAttr.string('layout', layout),
  ];
}

/** Rows of the registration list, see index.ts. */
export const attentionRegistration: OpRegistration = {
  cpuOnly: true,
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        const list = inputs as unknown as tf.Tensor[];
        return runOp(KERNEL, attributesOf(attrs, list.length - 2), list, 2);
      },
    },
    {
      kernelName: GRAD_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        const list = inputs as unknown as tf.Tensor[];
        return runOp(GRAD_KERNEL, attributesOf(attrs, list.length - 5), list, list.length - 4);
      },
    },
  ],
  gradients: [
    {
      kernelName: KERNEL,
      saveAllInputs: true,
      outputsToSave: [true, true],
      gradFunc: (dys, saved, attrs) => {
        const [dy] = dys as tf.Tensor[];
        const [output, statistics] = saved.slice(-2) as [tf.Tensor, tf.Tensor];
        const inputs = [dy!, output, statistics, ...saved.slice(0, -2)];
        // Outside the functions below: each of them runs in a scope of its own, which would free the others.
        const grads = tf
          .engine()
          .runKernel(GRAD_KERNEL, inputs as unknown as tf.NamedTensorMap, attrs) as unknown as tf.Tensor[];
        const [bias, ...tensors] = grads;
        const all = [bias!, saved[1]!, ...tensors];
        // The mask's is never asked for.
        return all.map((gradient) => () => gradient) as unknown as ReturnType<tf.GradConfig['gradFunc']>;
      },
    },
  ],
};
