// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type OpAttr, opAttr, runOp } from '../../engine/index.js';
import { hasTensorFlowOps, reluGradient, sumRows, withBias, withGradient } from './fused.js';

export interface ConvolutionOptions {
  /** Rows and columns between outputs. */
  stride: number;
  /**
   * Zeros around the map, on every side. `same`: as few as give an output for each `stride` cells begun, the odd one at the right
   * and bottom.
   */
  padding: number | 'same';
  /** max(., 0) at the end. */
  relu?: boolean;
}

/** A convolution whose result was scaled by constants, with the scale in its weights. */
export interface FoldedWeights {
  /** `weight * scale`, HWIO. */
  weight: tf.Tensor4D;
  /** `[out]` */
  scale: tf.Tensor1D;
  /** `[out]`, added behind the convolution. */
  shift: tf.Tensor1D;
}

/**
 * Convolution of NHWC maps with bias and ReLU as one node of the tape.
 * @param x `[batch, H, W, in]` @param weight `[kh, kw, in, out]` @param bias `[out]` or null
 * @returns `[batch, H', W', out]`
 */
export function convolution(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor | null,
  options: ConvolutionOptions,
): tf.Tensor4D {
  const y = withGradient(
    bias ? [x, weight, bias] : [x, weight],
    (save) => {
      const value = convolve(x, weight, bias, options);
      save(options.relu ? [x, weight, value] : [x, weight]);
      return value;
    },
    (dy, [$x, $weight, value]) => {
      const inner = (value ? reluGradient(dy, value) : dy) as tf.Tensor4D;
      const gradients: (() => tf.Tensor)[] = [
        () => inputGradient(inner, $x!.shape, $weight as tf.Tensor4D, options),
        () => weightGradient(inner, $x as tf.Tensor4D, $weight!.shape, options),
      ];
      return bias ? [...gradients, () => sumRows(inner)] : gradients;
    },
  );
  return y as tf.Tensor4D;
}

/**
 * Convolution whose result is multiplied with `scale` and shifted, both constants: the scale is in the folded weights
 * already. The gradient is that of the weights without it.
 * @param weight `[kh, kw, in, out]`, what is trained
 */
export function foldedConvolution(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  folded: FoldedWeights,
  options: ConvolutionOptions,
): tf.Tensor4D {
  const y = withGradient(
    [x, weight],
    (save) => {
      const value = convolve(x, folded.weight, folded.shift, options);
      save([x, folded.weight, folded.scale, ...(options.relu ? [value] : [])]);
      return value;
    },
    (dy, [$x, $folded, scale, value]) => {
      const inner = (value ? reluGradient(dy, value) : dy) as tf.Tensor4D;
      return [
        () => inputGradient(inner, $x!.shape, $folded as tf.Tensor4D, options),
        () => tf.mul(weightGradient(inner, $x as tf.Tensor4D, $folded!.shape, options), scale!),
      ];
    },
  );
  return y as tf.Tensor4D;
}

// ---- Kernels ----

function convolve(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor | null,
  options: ConvolutionOptions,
): tf.Tensor {
  if (!hasTensorFlowOps()) return plainConvolve(x, weight, bias, options);
  return withBias('Conv2D', geometry(options), [x, weight], bias, options.relu ? 'relu' : null);
}

function plainConvolve(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor | null,
  { stride, padding, relu }: ConvolutionOptions,
): tf.Tensor {
  const product = tf.conv2d(x, weight, stride, padding, 'NHWC', [1, 1], rounding(padding));
  const biased = bias ? tf.add(product, bias) : product;
  return relu ? tf.relu(biased) : biased;
}

function inputGradient(
  dy: tf.Tensor4D,
  shape: number[],
  weight: tf.Tensor4D,
  options: ConvolutionOptions,
): tf.Tensor4D {
  if (!hasTensorFlowOps()) {
    const [batch, height, width, channels] = shape as [number, number, number, number];
    const attrs = { ...plainGeometry(options), inputShape: [batch, height, width, channels] };
    return tf.engine().runKernel('Conv2DBackpropInput', { dy, filter: weight }, attrs) as tf.Tensor4D;
  }
  const sizes = tf.tensor1d(shape, 'int32');
  return runOp('Conv2DBackpropInput', geometry(options), [sizes, weight, dy], 1)[0] as tf.Tensor4D;
}

function weightGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  shape: number[],
  options: ConvolutionOptions,
): tf.Tensor4D {
  if (!hasTensorFlowOps()) {
    const attrs = { ...plainGeometry(options), filterShape: shape };
    return tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, attrs) as tf.Tensor4D;
  }
  if (shape[0] === 1 && shape[1] === 1 && (options.padding === 'same' || options.padding === 0))
    return pointGradient(dy, x, shape, options);
  const sizes = tf.tensor1d(shape, 'int32');
  return runOp('Conv2DBackpropFilter', geometry(options), [x, sizes, dy], 1)[0] as tf.Tensor4D;
}

/**
 * {@link weightGradient} of a 1x1 kernel: a product of matrices. TensorFlow 2.21's own kernel (oneDNN's) writes behind its
 * buffers for 1x1 with stride 2 on maps of even size.
 */
function pointGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  shape: number[],
  { stride }: ConvolutionOptions,
): tf.Tensor4D {
  const [input, output] = shape.slice(2) as [number, number];
  const read = stride === 1 ? x : tf.stridedSlice(x, [0, 0, 0, 0], x.shape, [1, stride, stride, 1]);
  const product = tf.matMul(tf.reshape(read, [-1, input]), tf.reshape(dy, [-1, output]), true, false);
  return tf.reshape(product, shape as [number, number, number, number]);
}

export function plainGeometry({ stride, padding }: ConvolutionOptions): Record<string, string | number> {
  const mode = rounding(padding);
  const plain = { strides: stride, pad: padding, dataFormat: 'NHWC' };
  return mode === undefined ? plain : { ...plain, dimRoundingMode: mode };
}

/** TensorFlow.js takes a way of rounding only for numbers. */
export function rounding(padding: ConvolutionOptions['padding']): 'floor' | undefined {
  return padding === 'same' ? undefined : 'floor';
}

function geometry({ stride, padding }: ConvolutionOptions): OpAttr[] {
  const p = padding === 'same' ? 0 : padding;
  return [
    opAttr.type('T', 'float32'),
    opAttr.int('strides', [1, stride, stride, 1]),
    opAttr.string('padding', padding === 'same' ? 'SAME' : p > 0 ? 'EXPLICIT' : 'VALID'),
    opAttr.int('explicit_paddings', p > 0 ? [0, 0, p, p, p, p, 0, 0] : []),
    opAttr.string('data_format', 'NHWC'),
  ];
}

// ---- Pooling ----

/**
 * Largest value of each window of a map without negative values, which padding with zeros leaves alone.
 * @param x `[batch, H, W, C]`, behind a ReLU @returns `[batch, H', W', C]`
 */
export function maxPoolPositive(x: tf.Tensor4D, size: number, stride: number, padding: number): tf.Tensor4D {
  const p = padding;
  const padded = tf.pad(x, [
    [0, 0],
    [p, p],
    [p, p],
    [0, 0],
  ]);
  return tf.maxPool(padded as tf.Tensor4D, size, stride, 'valid');
}
