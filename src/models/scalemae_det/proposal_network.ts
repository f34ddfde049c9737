// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach, noGrad } from '../../ops/index.js';
import type { InitSpec } from '../init.js';
import { Conv2d } from '../layers/basic.js';
import { convolution } from '../layers/convolution.js';
import { Module } from '../module.js';
import { clipBoxes, decodeBoxes, largeEnough, PROPOSAL_WEIGHTS } from './box_coder.js';
import { type Kept, suppress } from './suppress.js';

const INIT: InitSpec = { kind: 'normal', std: 0.01 };
const ZEROS: InitSpec = { kind: 'zeros' };

/** A proposal is dropped when it overlaps a better one of its map by more than this. */
const OVERLAP = 0.7;
/** Pixels that a proposal has along each side. */
const LEAST = 1e-3;

/** What the network says of every anchor. */
export interface AnchorOutput {
  /** `[batch, anchors]`, logits. */
  objectness: tf.Tensor2D;
  /** `[batch, anchors, 4]`, how the object's box differs from the anchor. */
  deltas: tf.Tensor3D;
  /** Anchors of each map. */
  counts: number[];
}

/**
 * Looks at every place of every map for objects of any class: a 3x3 convolution and two 1x1 behind it, the same for all maps.
 * Parameters `conv.0.0`, `cls_logits`, `bbox_pred`. Source: Ren et al. 2015, "Faster R-CNN"; names as in torchvision.
 */
export class ProposalHead extends Module {
  private readonly convolution: Conv2d;
  private readonly scores: Conv2d;
  private readonly boxes: Conv2d;

  /** @param anchors of each cell */
  constructor(
    channels: number,
    private readonly anchors: number,
  ) {
    super();
    const init = { init: INIT, biasInit: ZEROS };
    this.convolution = this.child('conv.0.0', new Conv2d(channels, channels, 3, { padding: 1, ...init }));
    this.scores = this.child('cls_logits', new Conv2d(channels, anchors, 1, init));
    this.boxes = this.child('bbox_pred', new Conv2d(channels, 4 * anchors, 1, init));
  }

  /** @param maps `[batch, h, w, C]` each */
  forward(maps: readonly tf.Tensor4D[]): AnchorOutput {
    const outputs = maps.map((map) => {
      const { weight, bias } = this.convolution;
      const options = { stride: 1, padding: 1, relu: true };
      const inner = convolution(map, weight as tf.Tensor as tf.Tensor4D, bias, options);
      const [batch, height, width] = map.shape;
      const count = height * width * this.anchors;
      return {
        count,
        scores: tf.reshape(this.scores.forward(inner), [batch, count]),
        boxes: tf.reshape(this.boxes.forward(inner), [batch, count, 4]),
      };
    });
    return {
      objectness: tf.concat(
        outputs.map(({ scores }) => scores),
        1,
      ) as tf.Tensor2D,
      deltas: tf.concat(
        outputs.map(({ boxes }) => boxes),
        1,
      ) as tf.Tensor3D,
      counts: outputs.map(({ count }) => count),
    };
  }
}

/**
 * The best places of each picture, best first; a constant to the gradient.
 * @param anchors `[anchors, 4]` @param sizes `[batch, 2]`, width and height of the pictures
 * @param candidates best anchors of each map that are looked at @param count proposals of a picture
 */
export function propose(
  { objectness, deltas, counts }: AnchorOutput,
  anchors: tf.Tensor2D,
  sizes: tf.Tensor2D,
  candidates: number,
  count: number,
): Kept {
  const batch = objectness.shape[0];
  return noGrad(() => {
    let from = 0;
    const groups = counts.map((own) => {
      const logits = tf.slice(detach(objectness), [0, from], [batch, own]);
      const { values, indices } = tf.topk(logits, Math.min(candidates, own), true);
      const chosen = tf.add(indices, tf.scalar(from, 'int32')) as tf.Tensor2D;
      from += own;
      const boxes = decodeBoxes(
        tf.gather(deltas, chosen, 1, 1),
        tf.gather(anchors, chosen),
        PROPOSAL_WEIGHTS,
      ) as tf.Tensor3D;
      return { scores: tf.sigmoid(values), boxes };
    });
    const boxes = clipBoxes(
      tf.concat(
        groups.map((group) => group.boxes),
        1,
      ) as tf.Tensor3D,
      sizes,
    );
    // A column of scores for each map; -1 where a box is of another map, or empty.
    let before = 0;
    const columns = groups.map(({ scores }, i) => {
      const own = scores.shape[1]!;
      const after = boxes.shape[1] - before - own;
      const paddings: [number, number][] = [
        [0, 0],
        [before, after],
        [i, groups.length - 1 - i],
      ];
      before += own;
      return tf.pad(tf.expandDims(scores, 2), paddings, -1);
    });
    const all = columns.reduce((sum, column) => tf.maximum(sum, column));
    const scores = tf.where(largeEnough(boxes, LEAST), all, -1) as tf.Tensor3D;
    return suppress(tf.expandDims(boxes, 2), scores, { iou: OVERLAP, count, above: -0.5 });
  });
}
