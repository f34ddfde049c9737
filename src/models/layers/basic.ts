// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { gelu, layerNorm } from '../../ops/index.js';
import type { InitSpec } from '../init.js';
import { Module } from '../module.js';
import { linearRows, relu } from './fused.js';

export { gelu, layerNorm };

/** `y = x W^T + b` on the last axis; parameters `weight [out, in]`, `bias [out]`. */
export class Linear extends Module {
  readonly weight: tf.Variable;
  readonly bias: tf.Variable | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    options: { bias?: boolean; init?: InitSpec; biasInit?: InitSpec } = {},
  ) {
    super();
    // PyTorch's default: U(-1/sqrt(in), 1/sqrt(in)) for both.
    const byFanIn: InitSpec = { kind: 'uniform', bound: 1 / Math.sqrt(inFeatures) };
    this.weight = this.parameter('weight', {
      shape: [outFeatures, inFeatures],
      init: options.init ?? byFanIn,
    });
    this.bias =
      options.bias === false
        ? null
        : this.parameter('bias', { shape: [outFeatures], init: options.biasInit ?? byFanIn });
  }

  /** @param x `[..., in]` @returns `[..., out]` */
  forward(x: tf.Tensor): tf.Tensor {
    return linear(x, this.weight as tf.Tensor2D, this.bias as tf.Tensor1D | null);
  }
}

/** Linear map with weights in PyTorch's layout. @param x `[..., in]` @param weight `[out, in]` @returns `[..., out]` */
export function linear(x: tf.Tensor, weight: tf.Tensor2D, bias: tf.Tensor1D | null = null): tf.Tensor {
  const [out, features] = weight.shape;
  if (x.rank === 2) return linearRows(x as tf.Tensor2D, weight, bias);
  const rows = x.reshape([x.size / features, features]) as tf.Tensor2D;
  return linearRows(rows, weight, bias).reshape([...x.shape.slice(0, -1), out]);
}

/** Layer normalisation over the last axis; parameters `weight`, `bias`. Source: Ba et al. 2016. */
export class LayerNorm extends Module {
  readonly weight: tf.Variable;
  readonly bias: tf.Variable;

  constructor(
    readonly features: number,
    readonly eps = 1e-5,
  ) {
    super();
    this.weight = this.parameter('weight', { shape: [features], init: { kind: 'ones' } });
    this.bias = this.parameter('bias', { shape: [features], init: { kind: 'zeros' } });
  }

  /** @param x `[..., features]` */
  forward(x: tf.Tensor): tf.Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps);
  }
}

/** 2-D convolution on NHWC maps; parameters `weight` (HWIO here, OIHW in files) and `bias`. */
export class Conv2d extends Module {
  readonly weight: tf.Variable;
  readonly bias: tf.Variable | null;
  private readonly stride: number;
  private readonly padding: number;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernel: number,
    options: { stride?: number; padding?: number; bias?: boolean; init?: InitSpec } = {},
  ) {
    super();
    const byFanIn: InitSpec = { kind: 'uniform', bound: 1 / Math.sqrt(inChannels * kernel * kernel) };
    this.stride = options.stride ?? 1;
    this.padding = options.padding ?? 0;
    this.weight = this.parameter('weight', {
      shape: [kernel, kernel, inChannels, outChannels],
      init: options.init ?? byFanIn,
      layout: 'conv',
    });
    this.bias =
      options.bias === false ? null : this.parameter('bias', { shape: [outChannels], init: byFanIn });
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, H', W', out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    // Padded by hand: the TensorFlow kernels take only 'valid' and 'same', and 'same' pads unevenly at stride 2.
    const p = this.padding;
    const padded =
      p > 0
        ? tf.pad(x, [
            [0, 0],
            [p, p],
            [p, p],
            [0, 0],
          ])
        : x;
    const y = tf.conv2d(padded as tf.Tensor4D, this.weight as tf.Tensor4D, this.stride, 'valid');
    return (this.bias ? tf.add(y, this.bias) : y) as tf.Tensor4D;
  }
}

/** Lookup table; parameter `weight [count, features]`. */
export class Embedding extends Module {
  readonly weight: tf.Variable;

  constructor(
    readonly count: number,
    readonly features: number,
    init: InitSpec = { kind: 'normal', std: 1 },
  ) {
    super();
    this.weight = this.parameter('weight', { shape: [count, features], init });
  }

  /** @param ids int32 `[...]` @returns `[..., features]` */
  forward(ids: tf.Tensor): tf.Tensor {
    return tf.gather(this.weight, ids);
  }
}

/** Linear layers with ReLU between; parameters `layers.N.{weight,bias}`, as in DETR's box head. */
export class MLP extends Module {
  readonly layers: Linear[];

  constructor(
    inFeatures: number,
    hidden: number,
    outFeatures: number,
    count: number,
    last?: { zero: boolean },
  ) {
    super();
    const zeros: InitSpec = { kind: 'zeros' };
    this.layers = this.children(
      'layers',
      Array.from({ length: count }, (_, i) => {
        const isLast = i === count - 1;
        const init = isLast && last?.zero ? { init: zeros, biasInit: zeros } : {};
        return new Linear(i === 0 ? inFeatures : hidden, isLast ? outFeatures : hidden, init);
      }),
    );
  }

  /** @param x `[..., in]` @returns `[..., out]` */
  forward(x: tf.Tensor): tf.Tensor {
    return this.layers.reduce((y, layer, i) => {
      const z = layer.forward(y);
      return i < this.layers.length - 1 ? relu(z) : z;
    }, x);
  }
}
