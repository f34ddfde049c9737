// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { gelu, layerNorm } from '../../ops/index.js';
import type { InitSpec } from '../init.js';
import { Module } from '../module.js';
import { convolution } from './convolution.js';
import { linearRows } from './fused.js';

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

  /** @param x `[..., in]` @param activation behind the map @returns `[..., out]` */
  forward(x: tf.Tensor, activation: 'relu' | null = null): tf.Tensor {
    return linear(x, this.weight as tf.Tensor2D, this.bias as tf.Tensor1D | null, activation);
  }
}

/** Linear map with weights in PyTorch's layout. @param x `[..., in]` @param weight `[out, in]` @returns `[..., out]` */
export function linear(
  x: tf.Tensor,
  weight: tf.Tensor2D,
  bias: tf.Tensor1D | null = null,
  activation: 'relu' | null = null,
): tf.Tensor {
  const [out, features] = weight.shape;
  if (x.rank === 2) return linearRows(x as tf.Tensor2D, weight, bias, activation);
  const rows = x.reshape([x.size / features, features]) as tf.Tensor2D;
  return linearRows(rows, weight, bias, activation).reshape([...x.shape.slice(0, -1), out]);
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
    options: {
      stride?: number;
      padding?: number;
      bias?: boolean;
      init?: InitSpec;
      biasInit?: InitSpec;
    } = {},
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
      options.bias === false
        ? null
        : this.parameter('bias', { shape: [outChannels], init: options.biasInit ?? byFanIn });
  }

  /** @param x `[batch, H, W, in]` @returns `[batch, H', W', out]` */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const { stride, padding } = this;
    return convolution(x, this.weight as tf.Tensor as tf.Tensor4D, this.bias, { stride, padding });
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

/** A last layer that gives `bias` whatever comes in. */
function startAt(bias: readonly number[]): { init: InitSpec; biasInit: InitSpec } {
  return { init: { kind: 'zeros' }, biasInit: { kind: 'values', values: bias } };
}

/** Linear layers with ReLU between; parameters `layers.N.{weight,bias}`, as in DETR's box head. `last.bias`: what it gives at first. */
export class MLP extends Module {
  readonly layers: Linear[];

  constructor(
    inFeatures: number,
    hidden: number,
    outFeatures: number,
    count: number,
    last?: { bias: readonly number[] },
  ) {
    super();
    this.layers = this.children(
      'layers',
      Array.from({ length: count }, (_, i) => {
        const isLast = i === count - 1;
        const init = isLast && last ? startAt(last.bias) : {};
        return new Linear(i === 0 ? inFeatures : hidden, isLast ? outFeatures : hidden, init);
      }),
    );
  }

  /** @param x `[..., in]` @returns `[..., out]` */
  forward(x: tf.Tensor): tf.Tensor {
    const last = this.layers.length - 1;
    return this.layers.reduce((y, layer, i) => layer.forward(y, i < last ? 'relu' : null), x);
  }
}
