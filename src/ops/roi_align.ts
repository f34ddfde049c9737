// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type OpAttr, opAttr, runOp } from '../engine/index.js';
import { argumentError, checkTensor } from './check.js';
import { NATIVE_BACKEND, type OpOptions, type OpRegistration, useNative } from './registry.js';
import { type RoiAlignSettings, roiAlignPlain } from './roi_align_plain.js';

export type { RoiMap } from './roi_align_plain.js';

const OP = 'roiAlign';
const KERNEL = 'TfgeoRoiAlign';
const GRAD_KERNEL = 'TfgeoRoiAlignGrad';

export interface RoiAlignOptions extends OpOptions, Partial<Omit<RoiAlignSettings, 'maps'>> {}

/**
 * RoIAlign on several maps: the mean of bilinear samples in each cell of a grid laid over a box. Samples more than a cell
 * outside of the map count as 0. A box whose level there is not gives 0, and one that is not finite gives NaN.
 * Differentiable in `value`; boxes are constants.
 *
 * Source: He et al. 2017, "Mask R-CNN"; with `aligned` off, torchvision's detectors (no half-pixel shift, boxes at least a
 * cell large).
 *
 * @param value `[N, S, C]`, the maps one after the other, each row-major; `S` is the sum of `height * width`
 * @param maps sizes, and how many cells a unit of the boxes is
 * @param boxes `[N, R, 4]` (x0, y0, x1, y1)
 * @param level int32 `[N, R]`, which map a box is read from
 * @returns `[N, R, height, width, C]`
 * @throws Error naming the argument that has the wrong type, shape or value
 */
export function roiAlign(
  value: tf.Tensor3D,
  maps: RoiAlignSettings['maps'],
  boxes: tf.Tensor3D,
  level: tf.Tensor2D,
  options: RoiAlignOptions = {},
): tf.Tensor5D {
  const { grid = [7, 7], sampling = 0, aligned = false, reach = 2 } = options;
  const cells = maps.reduce((sum, { height, width }) => sum + height * width, 0);
  checkTensor(OP, 'value', value, 'float32', '[N, S, C]', [null, cells, null]);
  checkTensor(OP, 'boxes', boxes, 'float32', '[N, R, 4]', [value.shape[0], null, 4]);
  checkTensor(OP, 'level', level, 'int32', '[N, R]', [value.shape[0], boxes.shape[1]]);
  const counts = [...grid, ...maps.flatMap(({ height, width }) => [height, width])];
  if (!counts.every((n) => Number.isInteger(n) && n > 0))
    throw argumentError(OP, 'whole numbers above 0', 'grid and maps', counts.join(', '));
  if (!(Number.isInteger(sampling) && sampling >= 0))
    throw argumentError(OP, 'a whole number from 0 up', 'sampling', `${sampling}`);
  const settings = { maps, grid, sampling, aligned, reach };
  if (!useNative(OP, roiAlignRegistration, options)) return roiAlignPlain(value, boxes, level, settings);
  const attrs = settings as unknown as tf.NamedAttrMap;
  return tf.engine().runKernel(KERNEL, { value, boxes, level }, attrs) as tf.Tensor5D;
}

function attributes(attrs: tf.NamedAttrMap | undefined): OpAttr[] {
  const { maps, grid, sampling, aligned } = attrs as unknown as RoiAlignSettings;
  return [
    opAttr.int(
      'sizes',
      maps.flatMap(({ height, width }) => [height, width]),
    ),
    opAttr.float(
      'scales',
      maps.map(({ scale }) => scale),
    ),
    opAttr.int('height', grid[0]),
    opAttr.int('width', grid[1]),
    opAttr.int('sampling', sampling),
    opAttr.bool('aligned', aligned),
  ];
}

/** Row of the registration list, see index.ts. */
export const roiAlignRegistration: OpRegistration = {
  kernels: [
    {
      kernelName: KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs: { value, boxes, level }, attrs }) =>
        runOp(KERNEL, attributes(attrs), [value, boxes, level] as tf.Tensor[], 1)[0]!,
    },
    {
      kernelName: GRAD_KERNEL,
      backendName: NATIVE_BACKEND,
      kernelFunc: ({ inputs: { dy, boxes, level }, attrs }) =>
        runOp(GRAD_KERNEL, attributes(attrs), [dy, boxes, level] as tf.Tensor[], 1)[0]!,
    },
  ],
  cpuOnly: true,
  gradients: [
    {
      kernelName: KERNEL,
      inputsToSave: ['boxes', 'level'],
      gradFunc: (dy, saved, attrs) => {
        const [boxes, level] = saved as [tf.Tensor, tf.Tensor];
        return {
          value: () =>
            tf.engine().runKernel(GRAD_KERNEL, { dy: dy as tf.Tensor, boxes, level }, attrs) as tf.Tensor,
          boxes: () => tf.zerosLike(boxes),
          level: () => tf.zerosLike(level),
        };
      },
    },
  ],
};
