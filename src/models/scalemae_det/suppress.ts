// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../../engine/index.js';
import { noGrad } from '../../ops/index.js';
import { hasTensorFlowOps } from '../layers/fused.js';
import { nmsXyxy } from '../nms.js';
import type { BoxXyxy } from '../types.js';

/** What suppression keeps of each picture, best first; rows behind the last one are 0. */
export type Kept = {
  /** `[batch, K, 4]` */
  boxes: tf.Tensor3D;
  /** `[batch, K]` */
  scores: tf.Tensor2D;
  /** int32 `[batch, K]`, the group of each. */
  groups: tf.Tensor2D;
  /** `[batch, K]`, 1 = kept. */
  mask: tf.Tensor2D;
};

export interface SuppressOptions {
  /** A box is dropped when it overlaps a better one of its group by more than this. */
  iou: number;
  /** Most boxes of a picture. */
  count: number;
  /** Only scores above this take part. */
  above: number;
}

/**
 * Greedy suppression in each group by itself, a constant to the gradient.
 * @param boxes `[batch, N, 1 or groups, 4]` corners @param scores `[batch, N, groups]`
 */
export function suppress(boxes: tf.Tensor4D, scores: tf.Tensor3D, options: SuppressOptions): Kept {
  return noGrad(() =>
    hasTensorFlowOps() ? suppressNative(boxes, scores, options) : suppressPlain(boxes, scores, options),
  );
}

function suppressNative(
  boxes: tf.Tensor4D,
  scores: tf.Tensor3D,
  { iou, count, above }: SuppressOptions,
): Kept {
  const most = tf.scalar(count, 'int32');
  const [kept, best, groups, valid] = runOp(
    'CombinedNonMaxSuppression',
    [opAttr.bool('pad_per_class', false), opAttr.bool('clip_boxes', false)],
    [boxes, scores, most, most, tf.scalar(iou), tf.scalar(above)],
    4,
  ) as [tf.Tensor3D, tf.Tensor2D, tf.Tensor2D, tf.Tensor1D];
  const places = tf.range(0, count, 1, 'int32');
  const mask = tf.cast(tf.less(places, tf.expandDims(valid, 1)), 'float32') as tf.Tensor2D;
  return { boxes: kept, scores: best, groups: tf.cast(groups, 'int32'), mask };
}

/** The same in JavaScript; reads the values. */
function suppressPlain(
  boxes: tf.Tensor4D,
  scores: tf.Tensor3D,
  { iou, count, above }: SuppressOptions,
): Kept {
  const [batch, rows, own] = boxes.shape;
  const groups = scores.shape[2];
  const [corners, values] = [boxes.dataSync(), scores.dataSync()];
  const out = {
    boxes: new Float32Array(batch * count * 4),
    scores: new Float32Array(batch * count),
    groups: new Int32Array(batch * count),
    mask: new Float32Array(batch * count),
  };
  for (let b = 0; b < batch; b++) {
    const taken: { box: BoxXyxy; score: number; group: number }[] = [];
    for (let n = 0; n < rows; n++) {
      for (let group = 0; group < groups; group++) {
        const score = values[(b * rows + n) * groups + group]!;
        if (!(score > above)) continue;
        const at = ((b * rows + n) * own + (own === 1 ? 0 : group)) * 4;
        taken.push({ box: [...corners.slice(at, at + 4)] as unknown as BoxXyxy, score, group });
      }
    }
    const kept = nmsXyxy(
      taken.map(({ box }) => box),
      taken.map(({ score }) => score),
      iou,
      taken.map(({ group }) => `${group}`),
    );
    kept.slice(0, count).forEach((index, place) => {
      const { box, score, group } = taken[index]!;
      const at = b * count + place;
      out.boxes.set(box, at * 4);
      out.scores[at] = score;
      out.groups[at] = group;
      out.mask[at] = 1;
    });
  }
  return {
    boxes: tf.tensor3d(out.boxes, [batch, count, 4]),
    scores: tf.tensor2d(out.scores, [batch, count]),
    groups: tf.tensor2d(out.groups, [batch, count], 'int32'),
    mask: tf.tensor2d(out.mask, [batch, count]),
  };
}
