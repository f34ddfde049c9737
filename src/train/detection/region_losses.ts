// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { cxcywhToXyxy } from '../../models/boxes.js';
import type { PictureInput } from '../../models/deformable_detr/index.js';
import {
  type BoxOutput,
  DETECTION_WEIGHTS,
  encodeBoxes,
  firstSlot,
  PROPOSAL_WEIGHTS,
  type ProposalStage,
  type ScaleMaeDet,
} from '../../models/scalemae_det/index.js';
import type { PaddedTargets } from '../../models/types.js';
import { noGrad, type RandomStream } from '../../ops/index.js';
import type { TaskLoss } from '../task.js';
import { type BoxSample, bestTargets, drawBoxes } from './assign.js';

/** Below this a difference counts by its square. */
const BETA = 1 / 9;
/** Boxes drawn of each picture, and how many objects are among them at most. */
const ANCHORS = { count: 256, object: 0.7, background: 0.3 } as const;
const BOXES = { count: 512, positives: 128, object: 0.5 } as const;

export interface RegionWeights {
  /** Classes of boxes. */
  classes: number;
  /** Boxes of detections. */
  bbox: number;
  /** Whether there is an object at an anchor. */
  objectness: number;
  /** Boxes of proposals. */
  proposals: number;
}

export const REGION_WEIGHTS: RegionWeights = { classes: 1, bbox: 1, objectness: 1, proposals: 1 };

/** Numbers in [0, 1] that decide which boxes are drawn, as a function of the shape. */
export type DrawKeys = (shape: [number, number]) => tf.Tensor2D;

/** Targets in pixels. */
interface Objects {
  /** `[batch, targets, 4]` corners. */
  boxes: tf.Tensor3D;
  mask: tf.Tensor2D;
  /** int32 `[batch, targets]`, slots of the class scores. */
  slots: tf.Tensor2D;
}

/** Boxes that the second stage is taught with. */
export interface TaughtBoxes extends BoxSample {
  /** `[batch, K, 4]` corners. */
  boxes: tf.Tensor3D;
  /** int32 `[batch, K]`, 0 = background. */
  labels: tf.Tensor2D;
  /** `[batch, K, 4]`, how the object's box differs; of use where `positive`. */
  deltas: tf.Tensor3D;
}

/** The four losses of Faster R-CNN. Source: Ren et al. 2015; numbers as in torchvision. */
export class RegionLosses {
  constructor(private readonly weights: RegionWeights = REGION_WEIGHTS) {}

  /** Both stages with boxes drawn at random, and their losses. */
  lossOf(model: ScaleMaeDet, input: PictureInput, targets: PaddedTargets, random: RandomStream): TaskLoss {
    const stage = model.propose(input, { training: true, random });
    const objects = objectsOf(targets, stage.sizes, firstSlot(model.options));
    const keys: DrawKeys = (shape) => random.uniform(shape) as tf.Tensor2D;
    const taught = teachBoxes(stage, objects, keys);
    const output = model.classify(model.read(stage, taught.boxes).cells);
    const parts = { ...proposalLosses(stage, objects, keys), ...boxLosses(output, taught) };
    const { classes, bbox, objectness, proposals } = this.weights;
    const total = tf.addN([
      tf.mul(parts.loss_classifier, classes),
      tf.mul(parts.loss_box_reg, bbox),
      tf.mul(parts.loss_objectness, objectness),
      tf.mul(parts.loss_rpn_box_reg, proposals),
    ]) as tf.Scalar;
    return { total, parts };
  }
}

/** @param first slot of the first class */
export function objectsOf(targets: PaddedTargets, sizes: tf.Tensor2D, first: number): Objects {
  return noGrad(() => {
    const whole = tf.expandDims(tf.concat([sizes, sizes], 1), 1);
    const slots = tf.add(tf.argMax(targets.positiveMap, 2), tf.scalar(first, 'int32')) as tf.Tensor2D;
    return {
      boxes: tf.mul(cxcywhToXyxy(targets.boxes), whole) as tf.Tensor3D,
      mask: targets.mask,
      slots,
    };
  });
}

/** What each anchor should say. */
export function anchorTargets({ anchors }: Pick<ProposalStage, 'anchors'>, objects: Objects) {
  return noGrad(() => {
    const all = tf.expandDims(anchors, 0) as tf.Tensor3D;
    const { index, iou, closest } = bestTargets(all, objects.boxes, objects.mask);
    // An object that no anchor fits is given the closest.
    const object = tf.logicalOr(tf.greaterEqual(iou, ANCHORS.object), closest) as tf.Tensor2D;
    const background = tf.logicalAnd(tf.logicalNot(object), tf.less(iou, ANCHORS.background)) as tf.Tensor2D;
    return { index, object, background };
  });
}

/** Losses of the first stage. @param count anchors drawn of each picture, half of them objects at most */
export function proposalLosses(
  stage: Pick<ProposalStage, 'anchors' | 'anchorOutput'>,
  objects: Objects,
  keys: DrawKeys,
  count: number = ANCHORS.count,
): Record<'loss_objectness' | 'loss_rpn_box_reg', tf.Scalar> {
  const { index, object, background } = anchorTargets(stage, objects);
  const { objectness, deltas } = stage.anchorOutput;
  const drawn = drawBoxes(object, background, keys(object.shape), count, Math.trunc(count / 2));
  const wanted = noGrad(() => {
    const own = tf.gather<tf.Tensor>(stage.anchors, drawn.indices);
    const target = tf.gather(objects.boxes, tf.gather(index, drawn.indices, 1, 1) as tf.Tensor2D, 1, 1);
    return encodeBoxes(target, own, PROPOSAL_WEIGHTS);
  });
  const logits = tf.gather(objectness, drawn.indices, 1, 1);
  const boxes = tf.gather(deltas, drawn.indices, 1, 1);
  const entropy = tf.losses.sigmoidCrossEntropy(
    drawn.positive,
    logits,
    drawn.valid,
    0,
    tf.Reduction.SUM,
  ) as tf.Scalar;
  const total = countOf(drawn);
  return {
    loss_objectness: tf.div(entropy, total),
    loss_rpn_box_reg: tf.div(smoothL1(boxes, wanted, drawn.positive), total),
  };
}

/** Draws what the second stage is taught with among the proposals and the objects themselves. */
export function teachBoxes({ proposals }: ProposalStage, objects: Objects, keys: DrawKeys): TaughtBoxes {
  return noGrad(() => {
    const candidates = tf.concat([proposals.boxes, objects.boxes], 1) as tf.Tensor3D;
    const real = tf.greater(tf.concat([proposals.mask, objects.mask], 1), 0);
    const { index, iou } = bestTargets(candidates, objects.boxes, objects.mask);
    const slots = tf.gather(objects.slots, index, 1, 1);
    const fits = tf.greaterEqual(iou, BOXES.object);
    const labels = tf.where(fits, slots, tf.zerosLike(slots)) as tf.Tensor2D;
    const object = tf.logicalAnd(real, tf.greater(labels, 0)) as tf.Tensor2D;
    const background = tf.logicalAnd(real, tf.equal(labels, 0)) as tf.Tensor2D;
    const drawn = drawBoxes(object, background, keys(object.shape), BOXES.count, BOXES.positives);
    const take = <T extends tf.Tensor>(x: T) => tf.gather(x, drawn.indices, 1, 1) as T;
    const boxes = take(candidates);
    const target = tf.gather(objects.boxes, take(index), 1, 1);
    return {
      ...drawn,
      boxes,
      labels: take(labels),
      deltas: encodeBoxes(target, boxes, DETECTION_WEIGHTS) as tf.Tensor3D,
    };
  });
}

/** Losses of the second stage. */
export function boxLosses(
  { classLogits, deltas }: BoxOutput,
  taught: TaughtBoxes,
): Record<'loss_classifier' | 'loss_box_reg', tf.Scalar> {
  const [batch, count, slots] = classLogits.shape;
  const own = tf.oneHot(taught.labels, slots); // [batch, K, slots]
  const picked = tf.sum(tf.mul(deltas, tf.expandDims(tf.cast(own, 'float32'), 3)), 2);
  const entropy = tf.losses.softmaxCrossEntropy(
    tf.reshape(own, [batch * count, slots]),
    tf.reshape(classLogits, [batch * count, slots]),
    tf.reshape(taught.valid, [batch * count]),
    0,
    tf.Reduction.SUM,
  ) as tf.Scalar;
  const total = countOf(taught);
  return {
    loss_classifier: tf.div(entropy, total),
    loss_box_reg: tf.div(smoothL1(picked, taught.deltas, taught.positive), total),
  };
}

function countOf({ valid }: BoxSample): tf.Scalar {
  return noGrad(() => tf.maximum(tf.sum(valid), 1) as tf.Scalar);
}

/** Sum over the rows that count. @param a `[batch, K, 4]` @param mask `[batch, K]` */
function smoothL1(a: tf.Tensor, b: tf.Tensor, mask: tf.Tensor2D): tf.Scalar {
  const counts = tf.expandDims(mask, 2);
  // What does not count may be infinite.
  const apart = tf.abs(tf.where(tf.greater(tf.broadcastTo(counts, a.shape), 0), tf.sub(a, b), 0));
  const near = tf.minimum(apart, BETA);
  // near^2 / (2 beta) + (apart - near)
  return tf.sum(tf.add(tf.mul(tf.square(near), 0.5 / BETA), tf.sub(apart, near))) as tf.Scalar;
}
