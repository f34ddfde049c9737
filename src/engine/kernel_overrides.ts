// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { OpAttr } from './binding.js';
import type { NodeBackend } from './kernels.js';
import { opAttr } from './op_attr.js';

// Kernels of tfjs-node that read values in JavaScript, and gradients of TensorFlow.js that fill arrays in JavaScript or take
// many steps, replaced by what TensorFlow has for them. Everything here can be traced, and gives what the original gives.

const BACKEND = 'tensorflow';

type GradFunc = NonNullable<ReturnType<typeof tf.getGradient>>['gradFunc'];
type Dy = tf.Tensor;

function run(name: string, attrs: readonly OpAttr[], inputs: readonly tf.TensorInfo[]): tf.Tensor {
  return (tf.backend() as NodeBackend).executeSingleOutput(name, attrs, inputs);
}

function typeOf(x: tf.TensorInfo): OpAttr {
  return opAttr.type('T', x.dtype as 'float32' | 'int32');
}

/** Runs with int32 vectors that are freed afterwards. */
function withVector<T>(values: readonly number[], use: (vector: tf.Tensor) => T): T {
  const vector = tf.tensor1d([...values], 'int32');
  const result = use(vector);
  vector.dispose();
  return result;
}

const KERNELS: readonly tf.KernelConfig[] = [
  {
    // The original reads the indices to check them; TensorFlow checks them itself.
    kernelName: tf.GatherV2,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const { x, indices } = inputs as { x: tf.Tensor; indices: tf.Tensor };
      const { axis, batchDims } = attrs as unknown as { axis: number; batchDims: number };
      tf.backend_util.segment_util.collectGatherOpShapeInfo(x, indices, axis, batchDims);
      const axisTensor = tf.scalar(axis, 'int32');
      try {
        return run('GatherV2', [opAttr.int('batch_dims', batchDims)], [x, indices, axisTensor]);
      } catch (error) {
        const outside = /indices\[.*\] = (-?\d+) is not in \[0, /.exec((error as Error).message);
        if (!outside) throw error;
        throw new Error(`GatherV2: the index value ${outside[1]} is not in [0, ${x.shape[axis]! - 1}]`);
      } finally {
        axisTensor.dispose();
      }
    },
  },
  {
    // Matrices go to MatMul, which TensorFlow fuses with what follows; batches of them stay what they were.
    kernelName: tf.BatchMatMul,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const { a, b } = inputs as { a: tf.Tensor; b: tf.Tensor };
      const { transposeA, transposeB } = attrs as unknown as { transposeA: boolean; transposeB: boolean };
      const matrices = a.shape.length === 2 && b.shape.length === 2;
      const names = matrices ? (['transpose_a', 'transpose_b'] as const) : (['adj_x', 'adj_y'] as const);
      const flags = [opAttr.bool(names[0], transposeA), opAttr.bool(names[1], transposeB)];
      return run(matrices ? 'MatMul' : 'BatchMatMulV2', [typeOf(a), ...flags], [a, b]);
    },
  },
];

/** `dy` of a reduction over `axis`, at every element that was reduced. */
function spread(dy: tf.Tensor, shape: readonly number[], axis: number | number[]): tf.Tensor {
  const kept = [...shape];
  for (const reduced of tf.util.parseAxisParam(axis, kept.slice())) kept[reduced] = 1;
  const whole = tf.reshape(dy, kept);
  if (tf.util.arraysEqual(kept, shape as number[])) return whole;
  return withVector(shape, (size) =>
    run('BroadcastTo', [typeOf(dy), opAttr.type('Tidx', 'int32')], [whole, size]),
  );
}

/** Sum over the copies that a tile made. */
function gatherTiles(dy: tf.Tensor, shape: readonly number[], reps: readonly number[]): tf.Tensor {
  const split: number[] = [];
  const copies: number[] = [];
  shape.forEach((size, i) => {
    if (reps[i]! !== 1) {
      copies.push(split.length);
      split.push(reps[i]!);
    }
    split.push(size);
  });
  if (copies.length === 0) return tf.reshape(dy, shape as number[]);
  return tf.reshape(tf.sum(tf.reshape(dy, split), copies), shape as number[]);
}

/** Rows of `dy` summed where the same row was gathered. */
function gatherGradient(dy: tf.Tensor, x: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  const rows = tf.reshape(dy, [indices.size, ...x.shape.slice(1)]);
  return tf.unsortedSegmentSum(rows, tf.reshape(indices, [indices.size]) as tf.Tensor1D, x.shape[0]!);
}

/** Whether a gradient can be given here; the original is asked where not. */
type Gradient = (
  dy: Dy,
  saved: tf.Tensor[],
  attrs: tf.NamedAttrMap,
) => Record<string, () => tf.Tensor> | null;

const GRADIENTS: Readonly<Record<string, Gradient>> = {
  [tf.Sum]: (dy, [x], { axis }) => ({ x: () => spread(dy, x!.shape, axis as number[]) }),
  [tf.Mean]: (dy, [x], { axis }) => ({
    x: () => {
      const count = x!.size / Math.max(1, dy.size);
      return spread(tf.div(dy, count), x!.shape, axis as number[]);
    },
  }),
  [tf.Relu]: (dy, [x]) => ({ x: () => run('ReluGrad', [typeOf(dy)], [dy, x!]) }),
  [tf.Relu6]: (dy, [x]) => ({ x: () => run('Relu6Grad', [typeOf(dy)], [dy, x!]) }),
  [tf.Sigmoid]: (dy, [y]) => ({ x: () => run('SigmoidGrad', [typeOf(dy)], [y!, dy]) }),
  [tf.Tanh]: (dy, [y]) => ({ x: () => run('TanhGrad', [typeOf(dy)], [y!, dy]) }),
  [tf.Softplus]: (dy, [x]) => ({ x: () => run('SoftplusGrad', [typeOf(dy)], [dy, x!]) }),
  [tf.Tile]: (dy, [x], { reps }) => ({ x: () => gatherTiles(dy, x!.shape, reps as number[]) }),
  // The original takes an array, and for a single part it is handed a tensor.
  [tf.Unpack]: (dy, _, { axis }) => ({ value: () => tf.expandDims(dy, axis as number) }),
  [tf.GatherV2]: (dy, [x, indices], { axis, batchDims }) => {
    if (axis !== 0 || batchDims) return null;
    return { x: () => gatherGradient(dy, x!, indices!), indices: () => indices! };
  },
};

/** Puts the kernels and gradients of this file in the place of the originals, which must be registered. */
export function overrideKernels(): void {
  for (const kernel of KERNELS) {
    if (tf.getKernel(kernel.kernelName, BACKEND)) tf.unregisterKernel(kernel.kernelName, BACKEND);
    tf.registerKernel(kernel);
  }
  for (const [kernelName, gradient] of Object.entries(GRADIENTS)) {
    const original = tf.getGradient(kernelName);
    if (!original) throw new Error(`TensorFlow.js has no gradient for ${kernelName}`);
    const gradFunc: GradFunc = (dy, saved, attrs) => {
      // A gradient that is differentiated itself must consist of operations on the tape.
      const { gradientDepth } = tf.engine().state;
      const fits = tf.getBackend() === BACKEND && gradientDepth === 0 && !Array.isArray(dy);
      return (fits ? gradient(dy, saved, attrs) : null) ?? original.gradFunc(dy, saved, attrs);
    };
    tf.unregisterGradient(kernelName);
    tf.registerGradient({ ...original, gradFunc });
  }
}
