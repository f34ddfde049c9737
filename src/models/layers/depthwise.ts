// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type OpAttr, opAttr, runOp } from '../../engine/index.js';
import type { InitSpec } from '../init.js';
import { Module } from '../module.js';
import { type ConvolutionOptions, type FoldedWeights, plainGeometry, rounding } from './convolution.js';
import { hasTensorFlowOps, sumRows, withGradient } from './fused.js';

/**
 * Convolution of each channel with a kernel of its own, as one node of the tape.
 * @param x `[batch, H, W, C]` @param weight `[kh, kw, C, 1]` @param bias `[C]` or null
 * @returns `[batch, H', W', C]`
 */
export function depthwiseConvolution(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor | null,
  options: ConvolutionOptions,
): tf.Tensor4D {
  const { stride, padding: p } = options;
  if (p !== 'same' && p > 0 && !keepsSize(weight, options)) {
    const padded = tf.pad(x, [
      [0, 0],
      [p, p],
      [p, p],
      [0, 0],
    ]) as tf.Tensor4D;
    return depthwiseConvolution(padded, weight, bias, { stride, padding: 0 });
  }
  const y = withGradient(
    bias ? [x, weight, bias] : [x, weight],
    (save) => {
      save([x, weight]);
      const product = convolve(x, weight, options);
      return bias ? tf.add(product, bias) : product;
    },
    (dy, [$x, $weight]) => {
      const gradients: (() => tf.Tensor)[] = [
        () => inputGradient(dy as tf.Tensor4D, $x as tf.Tensor4D, $weight as tf.Tensor4D, options),
        () => weightGradient(dy as tf.Tensor4D, $x as tf.Tensor4D, $weight as tf.Tensor4D, options),
      ];
      return bias ? [...gradients, () => sumRows(dy)] : gradients;
    },
  );
  return y as tf.Tensor4D;
}

/**
 * Depthwise convolution with a constant factor and summand for each channel behind it, the factor folded into the weights; see
 * `foldedConvolution`.
 * @param kernel `weight`: `[kh, kw, C, 1]`, what is trained @param stride with TensorFlow's padding
 */
export function foldedDepthwise(
  x: tf.Tensor4D,
  kernel: { weight: tf.Tensor4D; folded: FoldedWeights },
  stride: number,
): tf.Tensor4D {
  const { scale, shift } = kernel.folded;
  const options = { stride, padding: 'same' } as const;
  const y = withGradient(
    [x, kernel.weight],
    (save) => {
      save([x, kernel.folded.weight, scale]);
      return tf.add(convolve(x, kernel.folded.weight, options), shift);
    },
    (dy, saved) => {
      const [$dy, $x, $weight] = [dy, ...saved] as tf.Tensor4D[];
      return [
        () => inputGradient($dy!, $x!, $weight!, options),
        () => tf.mul(weightGradient($dy!, $x!, $weight!, options), tf.expandDims(saved[2]!, 1)),
      ];
    },
  );
  return y as tf.Tensor4D;
}

/** Whether what comes out is as large as what goes in. */
function keepsSize(weight: tf.Tensor4D, { stride, padding }: ConvolutionOptions): boolean {
  const size = 2 * Number(padding) + 1;
  return stride === 1 && weight.shape[0] === size && weight.shape[1] === size;
}

/** TensorFlow's optimizer ends the process at a fused depthwise convolution with explicit padding. */
function geometry({ stride, padding }: ConvolutionOptions): OpAttr[] {
  return [
    opAttr.type('T', 'float32'),
    opAttr.int('strides', [1, stride, stride, 1]),
    opAttr.string('padding', padding === 'same' || padding > 0 ? 'SAME' : 'VALID'),
    opAttr.string('data_format', 'NHWC'),
  ];
}

function convolve(x: tf.Tensor4D, weight: tf.Tensor4D, options: ConvolutionOptions): tf.Tensor {
  if (hasTensorFlowOps()) return runOp('DepthwiseConv2dNative', geometry(options), [x, weight], 1)[0]!;
  const { stride, padding } = options;
  return tf.depthwiseConv2d(x, weight, stride, padding, 'NHWC', [1, 1], rounding(padding));
}

function inputGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  options: ConvolutionOptions,
): tf.Tensor {
  if (!hasTensorFlowOps()) {
    const attrs = { ...plainGeometry(options), dilations: [1, 1], inputShape: x.shape };
    return tf
      .engine()
      .runKernel('DepthwiseConv2dNativeBackpropInput', { dy, filter: weight }, attrs) as tf.Tensor;
  }
  const sizes = tf.tensor1d(x.shape, 'int32');
  return runOp('DepthwiseConv2dNativeBackpropInput', geometry(options), [sizes, weight, dy], 1)[0]!;
}

function weightGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  options: ConvolutionOptions,
): tf.Tensor {
  if (!hasTensorFlowOps()) {
    const attrs = { ...plainGeometry(options), dilations: [1, 1], filterShape: weight.shape };
    return tf.engine().runKernel('DepthwiseConv2dNativeBackpropFilter', { x, dy }, attrs) as tf.Tensor;
  }
  const sizes = tf.tensor1d(weight.shape, 'int32');
  return runOp('DepthwiseConv2dNativeBackpropFilter', geometry(options), [x, sizes, dy], 1)[0]!;
}

/** Depthwise convolution of odd kernel with stride 1 that keeps the size; parameters `weight`, `bias`. */
export class DepthwiseConv2d extends Module {
  readonly weight: tf.Variable;
  readonly bias: tf.Variable;

  constructor(
    readonly features: number,
    readonly kernel: number,
  ) {
    super();
    // PyTorch's default for both.
    const byFanIn: InitSpec = { kind: 'uniform', bound: 1 / kernel };
    const shape = [kernel, kernel, features, 1];
    this.weight = this.parameter('weight', { shape, init: byFanIn, layout: 'depthwise' });
    this.bias = this.parameter('bias', { shape: [features], init: byFanIn });
  }

  /** @param x `[batch, H, W, C]` @returns the same shape */
  forward(x: tf.Tensor4D): tf.Tensor4D {
    const weight = this.weight as tf.Tensor as tf.Tensor4D;
    return depthwiseConvolution(x, weight, this.bias, { stride: 1, padding: (this.kernel - 1) / 2 });
  }
}
