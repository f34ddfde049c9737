// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../../engine/index.js';
import { hasTensorFlowOps, withGradient } from './fused.js';

/**
 * Bilinear resizing of maps by the centres of pixels, as PyTorch's `interpolate` with `align_corners=False` (no smoothing when
 * it shrinks).
 * @param x `[batch, H, W, C]` @returns `[batch, height, width, C]`
 */
export function resizeBilinear(x: tf.Tensor4D, [height, width]: readonly [number, number]): tf.Tensor4D {
  const [, fromHeight, fromWidth] = x.shape;
  if (fromHeight === height && fromWidth === width) return x;
  if (!hasTensorFlowOps()) return resizePlain(x, height, width);
  const attrs = [
    opAttr.type('T', 'float32'),
    opAttr.bool('align_corners', false),
    opAttr.bool('half_pixel_centers', true),
  ];
  const y = withGradient(
    [x],
    (save) => {
      save([x]);
      return runOp('ResizeBilinear', attrs, [x, tf.tensor1d([height, width], 'int32')], 1)[0]!;
    },
    (dy, [$x]) => [() => runOp('ResizeBilinearGrad', attrs, [dy, $x!], 1)[0]!],
  );
  return y as tf.Tensor4D;
}

/** The same by two products with matrices of interpolation weights. */
function resizePlain(x: tf.Tensor4D, height: number, width: number): tf.Tensor4D {
  const [batch, fromHeight, fromWidth, channels] = x.shape;
  return tf.tidy(() => {
    const rows = tf.matMul(
      tf.tile(tf.expandDims(interpolation(fromHeight, height), 0), [batch, 1, 1]),
      tf.reshape(x, [batch, fromHeight, fromWidth * channels]),
    );
    const columns = tf.matMul(
      tf.tile(tf.expandDims(interpolation(fromWidth, width), 0), [batch * height, 1, 1]),
      tf.reshape(rows, [batch * height, fromWidth, channels]),
    );
    return tf.reshape(columns, [batch, height, width, channels]);
  });
}

/** `[to, from]`: how much of each old cell is in each new one. */
function interpolation(from: number, to: number): tf.Tensor2D {
  const weights = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(at);
    const high = Math.min(low + 1, from - 1);
    weights[i * from + low]! += 1 - (at - low);
    weights[i * from + high]! += at - low;
  }
  return tf.tensor2d(weights, [to, from]);
}
