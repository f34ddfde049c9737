// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { gelu } from '../../ops/index.js';
import { LayerNorm, type Linear } from '../layers/basic.js';
import { dropPath } from '../layers/dropout.js';
import { Module } from '../module.js';
import type { ForwardOptions } from './backbone.js';
import {
  type ConvPositionEncoding,
  type ConvRelativeEncoding,
  FactorisedAttention,
  type TokenGrid,
  transformerLinear,
} from './factorised_attention.js';

/** Of the norms in blocks. */
export const BLOCK_EPS = 1e-6;

/** A GELU between two linear layers `fc1`, `fc2`. */
export class TransformerMlp extends Module {
  private readonly first: Linear;
  private readonly second: Linear;

  constructor(channels: number, hidden: number) {
    super();
    this.first = this.child('fc1', transformerLinear(channels, hidden));
    this.second = this.child('fc2', transformerLinear(hidden, channels));
  }

  /** @param x `[..., C]` @returns the same shape */
  forward<T extends tf.Tensor>(x: T): T {
    return this.second.forward(gelu(this.first.forward(x))) as T;
  }
}

export interface ConvAttentionOptions {
  channels: number;
  /** Hidden channels of the MLP. */
  hidden: number;
  /** Probability of dropping each branch in training. */
  dropPath: number;
}

/**
 * Position encoding, factorised attention and an MLP, the latter two behind a norm and added to their input: a serial block of
 * CoaT, a layer on a path of MPViT. The encodings are shared with other blocks.
 */
export class ConvAttentionBlock extends Module {
  private readonly norm1: LayerNorm;
  private readonly attention: FactorisedAttention;
  private readonly norm2: LayerNorm;
  private readonly mlp: TransformerMlp;

  constructor(
    private readonly options: ConvAttentionOptions,
    private readonly position: ConvPositionEncoding,
    relative: ConvRelativeEncoding,
  ) {
    super();
    const { channels, hidden } = options;
    this.child('cpe', position);
    this.norm1 = this.child('norm1', new LayerNorm(channels, BLOCK_EPS));
    this.attention = this.child('factoratt_crpe', new FactorisedAttention(channels, relative));
    this.norm2 = this.child('norm2', new LayerNorm(channels, BLOCK_EPS));
    this.mlp = this.child('mlp', new TransformerMlp(channels, hidden));
  }

  /**
   * @param tokens `[batch, extra + height * width, C]`
   * @param prefix of the names of taps: `cpe`, `crpe`, `attention`, `mlp`
   * @returns the same shape
   */
  forward(tokens: tf.Tensor3D, grid: TokenGrid, pass: ForwardOptions, prefix: string): tf.Tensor3D {
    const run = () => this.run(tokens, grid, pass, prefix);
    return pass.taps ? run() : tf.tidy(run);
  }

  private run(tokens: tf.Tensor3D, grid: TokenGrid, pass: ForwardOptions, prefix: string): tf.Tensor3D {
    const { dropPath: rate } = this.options;
    const tap = (name: string, value: tf.Tensor) => pass.taps?.set(`${prefix}${name}`, value);
    const x = this.position.forward(tokens, grid);
    const attended = this.attention.forward(this.norm1.forward(x) as tf.Tensor3D, grid, tap);
    const middle = tf.add(x, dropPath(attended, grid.batch, rate, pass));
    const mixed = this.mlp.forward(this.norm2.forward(middle)) as tf.Tensor3D;
    tap('cpe', x);
    tap('attention', attended);
    tap('mlp', mixed);
    return tf.add(middle, dropPath(mixed, grid.batch, rate, pass));
  }
}
