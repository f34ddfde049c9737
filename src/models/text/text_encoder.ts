// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import type { Module } from '../module.js';

export interface TextEncoderOptions {
  /** Whether this is a training step. It changes nothing unless `random` is given too. */
  training?: boolean;
  /** Draws the dropout masks of a training step; without it nothing is dropped. */
  random?: RandomStream | null;
  /** int32 `[batch, tokens]`, rows of the position table; default: as the encoder counts. */
  positions?: tf.Tensor2D;
  /** Receives `embeddings`, then `layer.0`, `layer.1`, ..., each `[batch, tokens, hidden]`. */
  taps?: Map<string, tf.Tensor>;
}

/** What a text encoder makes of a batch. */
export interface TextFeatures {
  /** `[batch, tokens, hidden]`, the last layer. */
  hidden: tf.Tensor3D;
  /** Embeddings, then the output of every layer; the last one is `hidden`. */
  hiddenStates: tf.Tensor3D[];
}

/** Turns token ids into one vector a token. */
export interface TextEncoder extends Module {
  /** Channels of the result. */
  readonly hiddenSize: number;
  /** Most tokens of a text, special ones included. */
  readonly maxTokens: number;
  /** Id that marks padding. */
  readonly padId: number;

  /**
   * @param ids int32 `[batch, tokens]`
   * @param mask `[batch, tokens]` (1 = a token that may be looked at), or `[batch, tokens, tokens]` (row looks at column), or
   *   null if every token may
   */
  forward(ids: tf.Tensor2D, mask: tf.Tensor | null, options?: TextEncoderOptions): TextFeatures;

  /** The same, only the last layer: `[batch, tokens, hidden]`. */
  encode(ids: tf.Tensor2D, mask: tf.Tensor | null, options?: TextEncoderOptions): tf.Tensor3D;
}
