// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import { Module } from '../module.js';

/** What every backbone gives: maps from fine to coarse. */
export interface FeatureMaps {
  /** `[batch, h, w, channels]`, one per stride, (h, w) as `levelShapes` gives them. */
  levels: tf.Tensor4D[];
  /** Pixels per cell of each level. */
  strides: number[];
  /** Channels of each level. */
  channels: number[];
  /** Values inside the network by name, if they were asked for. */
  intermediates?: Readonly<Record<string, tf.Tensor>>;
}

export interface ForwardOptions {
  /** Training mode: stochastic depth acts, batch norm takes the batch's statistics (default false). */
  training?: boolean;
  /** Where training mode draws from. Needed when there is something to draw. */
  random?: RandomStream;
  /** Metres per pixel: of all pictures, or `[batch]`. What depends on it needs it; the others do not look at it. */
  gsd?: number | tf.Tensor1D;
  /** Also return what `taps` would receive. */
  intermediates?: boolean;
  /**
   * Receives values inside the network by name. They are not tidied away before the caller's own `tf.tidy` ends.
   * Names are listed with each backbone.
   */
  taps?: Map<string, tf.Tensor>;
}

/** Sizes of the maps that a backbone gives, which follow from its settings alone. */
export interface LevelLayout {
  /** Pixels per cell of each level. */
  strides: number[];
  /** Channels of each level. */
  channels: number[];
  /** Cells along a side of `size` pixels (default: what strides cut off counts as a cell). */
  cells?: (size: number, stride: number) => number;
}

/** Cells along a side of a level. */
export function cellsOf({ cells }: LevelLayout, size: number, stride: number): number {
  return cells ? cells(size, stride) : Math.ceil(size / stride);
}

/** The contract that detectors rely on. */
export abstract class Backbone extends Module {
  readonly strides: number[];
  readonly channels: number[];

  constructor(readonly layout: LevelLayout) {
    super();
    this.strides = layout.strides;
    this.channels = layout.channels;
  }

  /** @param pixels `[batch, H, W, channels]`, normalised; any size from one pixel up, where the backbone says nothing else */
  forward(pixels: tf.Tensor4D, options: ForwardOptions = {}): FeatureMaps {
    if (!options.intermediates) return this.maps(pixels, options);
    const taps = options.taps ?? new Map<string, tf.Tensor>();
    return { ...this.maps(pixels, { ...options, taps }), intermediates: Object.fromEntries(taps) };
  }

  /** What {@link forward} promises, intermediates apart. */
  protected abstract maps(pixels: tf.Tensor4D, options: ForwardOptions): FeatureMaps;

  /** (h, w) of each level for pictures of this size. */
  levelShapes(height: number, width: number): [number, number][] {
    const along = (size: number, stride: number) => cellsOf(this.layout, size, stride);
    return this.strides.map((stride) => [along(height, stride), along(width, stride)]);
  }
}

/** @throws Error unless `pixels` are a batch of pictures with `channels` channels and at least `side` pixels a side */
export function checkPixels(name: string, pixels: tf.Tensor4D, channels: number, side = 1): void {
  const [, height, width, last] = pixels.shape;
  if (pixels.rank === 4 && last === channels && pixels.size > 0 && height >= side && width >= side) return;
  const least = side > 1 ? ` of at least ${side}x${side} pixels` : '';
  throw new Error(
    `[${name}] expected [batch, H, W, ${channels}]${least} for pixels but received [${pixels.shape}]`,
  );
}
