// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import { Module } from '../module.js';

/** What every backbone gives: maps from fine to coarse. */
export interface FeatureMaps {
  /** `[batch, ceil(H / stride), ceil(W / stride), channels]`, one per stride. */
  levels: tf.Tensor4D[];
  /** Pixels per cell of each level. */
  strides: number[];
  /** Channels of each level. */
  channels: number[];
}

export interface ForwardOptions {
  /** Training mode: stochastic depth acts (default false). */
  training?: boolean;
  /** Where training mode draws from. Needed when there is something to draw. */
  random?: RandomStream;
  /**
   * Receives values inside the network by name. They are not tidied away before the caller's own `tf.tidy` ends.
   * Names are listed with each backbone.
   */
  taps?: Map<string, tf.Tensor>;
}

/** The contract that detectors rely on. */
export abstract class Backbone extends Module {
  abstract readonly strides: number[];
  abstract readonly channels: number[];

  /** @param pixels `[batch, H, W, channels]`, normalised; any size from one pixel up */
  abstract forward(pixels: tf.Tensor4D, options?: ForwardOptions): FeatureMaps;
}
