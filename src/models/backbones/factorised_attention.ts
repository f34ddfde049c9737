// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach, type Grid } from '../../ops/index.js';
import type { InitSpec } from '../init.js';
import { Linear } from '../layers/basic.js';
import { DepthwiseConv2d } from '../layers/depthwise.js';
import { linearRows } from '../layers/fused.js';
import { Module } from '../module.js';

// Source: Xu et al. 2021, "Co-Scale Conv-Attentional Image Transformers"; parameter names as in
// https://github.com/mlpc-ucsd/CoaT. MPViT (Lee et al. 2022) has the same parts, without a class token.
//
// Tokens are `[batch, extra + height * width, C]`: `extra` class tokens, 0 or 1, then the map row by row.

/** Tokens of a map, with class tokens in front of it. */
export interface TokenGrid extends Grid {
  extra: 0 | 1;
}

const INIT: InitSpec = { kind: 'truncatedNormal', std: 0.02 };

export function transformerLinear(inFeatures: number, outFeatures: number): Linear {
  return new Linear(inFeatures, outFeatures, { init: INIT, biasInit: { kind: 'zeros' } });
}

/** The class tokens and the map of tokens. @param tokens `[batch, extra + height * width, C]` */
export function splitTokens(
  tokens: tf.Tensor3D,
  { extra, batch, height, width }: TokenGrid,
): { classes: tf.Tensor3D | null; map: tf.Tensor4D } {
  const channels = tokens.shape[2];
  const size = [batch, height, width, channels] as [number, number, number, number];
  if (extra === 0) return { classes: null, map: tf.reshape(tokens, size) };
  const [classes, rest] = tf.split(tokens as tf.Tensor, [extra, height * width], 1) as [
    tf.Tensor3D,
    tf.Tensor3D,
  ];
  return { classes, map: tf.reshape(rest, size) };
}

/** The reverse of {@link splitTokens}. */
export function joinTokens(classes: tf.Tensor3D | null, map: tf.Tensor4D): tf.Tensor3D {
  const [batch, height, width, channels] = map.shape;
  const tokens = tf.reshape(map, [batch, height * width, channels]);
  return (classes ? tf.concat([classes, tokens], 1) : tokens) as tf.Tensor3D;
}

/** Positions by a depthwise 3x3 convolution of the map, added to it; class tokens stay. Parameters `proj.{weight,bias}`. */
export class ConvPositionEncoding extends Module {
  private readonly proj: DepthwiseConv2d;

  constructor(channels: number) {
    super();
    this.proj = this.child('proj', new DepthwiseConv2d(channels, 3));
  }

  /** @param tokens `[batch, extra + height * width, C]` @returns the same shape */
  forward(tokens: tf.Tensor3D, grid: TokenGrid): tf.Tensor3D {
    const { classes, map } = splitTokens(tokens, grid);
    return joinTokens(classes, tf.add(map, this.proj.forward(map)));
  }
}

/** Kernels of the relative encoding, and how many of 8 parts of the heads have each. */
const WINDOWS = [
  { kernel: 3, parts: 2 },
  { kernel: 5, parts: 3 },
  { kernel: 7, parts: 3 },
] as const;

/** Heads that both papers use; the split over the kernels is for this number. */
export const FACTORISED_HEADS = 8;

/** Relative positions by depthwise convolutions of the values, small kernels for the first heads. Parameters `conv_list.N`. */
export class ConvRelativeEncoding extends Module {
  private readonly convolutions: DepthwiseConv2d[];

  constructor(channels: number) {
    super();
    const size = channels / FACTORISED_HEADS;
    this.convolutions = this.children(
      'conv_list',
      WINDOWS.map(({ kernel, parts }) => new DepthwiseConv2d(parts * size, kernel)),
    );
  }

  /** @param values `[batch, extra + height * width, C]` @returns what queries are multiplied with; 0 for class tokens */
  forward(values: tf.Tensor3D, grid: TokenGrid): tf.Tensor3D {
    const { classes, map } = splitTokens(values, grid);
    const sizes = this.convolutions.map(({ features }) => features);
    const maps = tf.split(map as tf.Tensor, sizes, 3) as tf.Tensor4D[];
    const parts = maps.map((part, i) => this.convolutions[i]!.forward(part));
    return joinTokens(classes && tf.zerosLike(classes), tf.concat(parts, 3));
  }
}

/**
 * Attention whose cost grows linearly with the tokens: keys become weights over the tokens, by which values are summed first.
 * Parameters `qkv`, `proj`, and `crpe`, the relative encoding that is usually shared.
 */
export class FactorisedAttention extends Module {
  private readonly qkv: Linear;
  private readonly proj: Linear;

  constructor(
    private readonly channels: number,
    private readonly relative: ConvRelativeEncoding,
  ) {
    super();
    this.qkv = this.child('qkv', transformerLinear(channels, 3 * channels));
    this.proj = this.child('proj', transformerLinear(channels, channels));
    this.child('crpe', relative);
  }

  /**
   * @param tokens `[batch, extra + height * width, C]`
   * @param tap receives `crpe`, what the relative encoding adds `[batch, tokens, C]`
   * @returns the same shape
   */
  forward(
    tokens: tf.Tensor3D,
    grid: TokenGrid,
    tap: (name: string, value: tf.Tensor) => void = () => undefined,
  ): tf.Tensor3D {
    const { channels } = this;
    const [batch, count] = tokens.shape;
    const rows = linearRows(tf.reshape(tokens, [-1, channels]), this.qkv.weight, this.qkv.bias);
    const qkv = tf.reshape(rows, [batch, count, 3 * channels]) as tf.Tensor3D;
    const [queries, keys, values] = tf.split(qkv, 3, 2) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
    const relative = tf.mul(queries, this.relative.forward(values, grid));
    tap('crpe', relative);
    const mixed = tf.add(tf.matMul(queries, summed(keys, values)), relative);
    const out = linearRows(tf.reshape(mixed, [-1, channels]), this.proj.weight, this.proj.bias);
    return tf.reshape(out, [batch, count, channels]);
  }
}

/**
 * For each head `softmax(keys)^T values / sqrt(size)` with the softmax over the tokens, as one matrix with a block for each
 * head and zeros elsewhere: one product for all heads. @returns `[batch, C, C]`
 */
function summed(keys: tf.Tensor3D, values: tf.Tensor3D): tf.Tensor3D {
  const [batch, , channels] = keys.shape;
  const size = channels / FACTORISED_HEADS;
  // A shift that is the same for all tokens changes nothing, so that there is nothing to differentiate.
  const powers = tf.exp(tf.sub(keys, detach(tf.max(keys, 1, true))));
  const products = tf.matMul(powers, values, true, false); // [batch, C of keys, C of values]
  const total = tf.reshape(tf.sum(powers, 1), [batch, channels, 1]);
  const head = (i: number) => Math.floor(i / size);
  const blocks = Float32Array.from({ length: channels * channels }, (_, i) =>
    head(Math.floor(i / channels)) === head(i % channels) ? size ** -0.5 : 0,
  );
  return tf.mul(products, tf.div(tf.tensor3d(blocks, [1, channels, channels]), total));
}
