// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Conv2d, gelu, LayerNorm } from '../layers/basic.js';
import { convolution } from '../layers/convolution.js';
import { Upsampling } from '../layers/upsampling.js';
import { Module } from '../module.js';

/** Makes maps of several sizes of one. */
export interface Pyramid extends Module {
  /** How much finer than its input each map is, from fine to coarse: 4, 2, 1, 1/2, ... */
  readonly factors: readonly number[];
  /** @param x `[batch, H, W, in]` @returns maps from fine to coarse, `[batch, h, w, out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D[];
}

/**
 * The pyramid of ScaleMAE-Det: a (transposed) convolution for each map and nothing behind it. Parameters `conv_1_2`, `conv_1`,
 * `deconv_2`, `deconv_4`, named after the size of the map. Source: https://github.com/timothygao8710/ScaleDet.
 */
export class ScaleMaePyramid extends Module implements Pyramid {
  readonly factors = [4, 2, 1, 0.5];
  private readonly half: Conv2d;
  private readonly whole: Conv2d;
  private readonly double: Upsampling;
  private readonly quadruple: Upsampling;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.half = this.child('conv_1_2', new Conv2d(inChannels, outChannels, 1, { stride: 2 }));
    this.whole = this.child('conv_1', new Conv2d(inChannels, outChannels, 1));
    this.double = this.child('deconv_2', new Upsampling(inChannels, outChannels, 2));
    this.quadruple = this.child('deconv_4', new Upsampling(inChannels, outChannels, 4));
  }

  forward(x: tf.Tensor4D): tf.Tensor4D[] {
    return [this.quadruple, this.double, this.whole, this.half].map((layer) => layer.forward(x));
  }
}

/** Of the norms. */
const EPS = 1e-6;

/** A convolution without bias and a norm of each cell: `weight`, `norm.{weight,bias}`. */
class NormedConv extends Module {
  private readonly weight: tf.Variable;
  private readonly norm: LayerNorm;

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly kernel: number,
  ) {
    super();
    this.weight = this.parameter('weight', {
      shape: [kernel, kernel, inChannels, outChannels],
      // He et al. 2015, for what is summed up to an output's gradient.
      init: { kind: 'normal', std: Math.sqrt(2 / (kernel * kernel * outChannels)) },
      layout: 'conv',
    });
    this.norm = this.child('norm', new LayerNorm(outChannels, EPS));
  }

  forward(x: tf.Tensor4D): tf.Tensor4D {
    const options = { stride: 1, padding: (this.kernel - 1) / 2 };
    const weight = this.weight as tf.Tensor as tf.Tensor4D;
    return this.norm.forward(convolution(x, weight, null, options)) as tf.Tensor4D;
  }
}

/** A map of ViTDet's pyramid: layers by their numbers in the reference. */
class VitDetLevel extends Module {
  private readonly layers: ((x: tf.Tensor4D) => tf.Tensor4D)[];

  constructor(inChannels: number, outChannels: number, factor: number) {
    super();
    const half = inChannels / 2;
    const quarter = inChannels / 4;
    const up = (at: number, from: number, to: number) => {
      const layer = this.child(`${at}`, new Upsampling(from, to, 2));
      return (x: tf.Tensor4D) => layer.forward(x);
    };
    const convolutions = (at: number, from: number) => {
      const first = this.child(`${at}`, new NormedConv(from, outChannels, 1));
      const second = this.child(`${at + 1}`, new NormedConv(outChannels, outChannels, 3));
      return (x: tf.Tensor4D) => second.forward(first.forward(x));
    };
    if (factor === 4) {
      const before = up(0, inChannels, half);
      const norm = this.child('1', new LayerNorm(half, EPS));
      const after = up(3, half, quarter);
      this.layers = [before, (x) => gelu(norm.forward(x)) as tf.Tensor4D, after, convolutions(4, quarter)];
    } else if (factor === 2) this.layers = [up(0, inChannels, half), convolutions(1, half)];
    else if (factor === 1) this.layers = [convolutions(0, inChannels)];
    else this.layers = [(x) => tf.maxPool(x, 2, 2, 'valid'), convolutions(1, inChannels)];
  }

  forward(x: tf.Tensor4D): tf.Tensor4D {
    return this.layers.reduce((y, layer) => layer(y), x);
  }
}

/**
 * The simple feature pyramid of ViTDet: maps of strides 4 to 32 of one of stride 16, and every second cell of the last one.
 * Source: Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object Detection"; parameter names as in
 * detectron2 (`simfp_2` to `simfp_5`).
 */
export class VitDetPyramid extends Module implements Pyramid {
  readonly factors = [4, 2, 1, 0.5, 0.25];
  private readonly levels: VitDetLevel[];

  constructor(inChannels: number, outChannels: number) {
    super();
    this.levels = [4, 2, 1, 0.5].map((factor, i) =>
      this.child(`simfp_${i + 2}`, new VitDetLevel(inChannels, outChannels, factor)),
    );
  }

  forward(x: tf.Tensor4D): tf.Tensor4D[] {
    const maps = this.levels.map((level) => level.forward(x));
    const last = maps.at(-1)!;
    return [...maps, tf.maxPool(last, 1, 2, 'valid')];
  }
}
