// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach, noGrad } from '../../ops/index.js';
import type { LevelSequence } from '../deformable_encoder.js';
import { LayerNorm, Linear, type MLP } from '../layers/basic.js';
import { sineCoordinates } from '../layers/position.js';
import { Module } from '../module.js';
import { tokenAnchors } from '../query_selection.js';
import type { DeformableDetrOptions } from './options.js';

/** Proposals nearer than this to the border of the picture, or larger than the picture less this, are not used. */
const MARGIN = 0.01;

/** What the first stage gives. */
export interface FirstStage {
  /** `[batch, S, classes]` */
  logits: tf.Tensor3D;
  /** `[batch, S, 4]` before the sigmoid; infinite where a token proposes nothing. */
  boxLogits: tf.Tensor3D;
  /** int32 `[batch, Q]`, the chosen tokens, best first. */
  chosen: tf.Tensor2D;
  /** `[batch, Q, 4]` in [0, 1], constants. */
  references: tf.Tensor3D;
  /** `[batch, Q, C]` */
  position: tf.Tensor3D;
  /** `[batch, Q, C]` */
  content: tf.Tensor3D;
}

/**
 * First stage: every encoder token proposes a box around itself; the best become the decoder's queries.
 * The owner registers `enc_output`, `enc_output_norm`, `pos_trans`, `pos_trans_norm`. Source: Zhu et al. 2021, section 4.
 */
export class ProposalStage extends Module {
  readonly encOutput: Linear;
  readonly encOutputNorm: LayerNorm;
  readonly posTrans: Linear;
  readonly posTransNorm: LayerNorm;

  constructor(private readonly options: DeformableDetrOptions) {
    super();
    const { dModel } = options;
    const linear = (size: number) =>
      new Linear(size, size, {
        init: { kind: 'xavierUniform', fanIn: size, fanOut: size },
        biasInit: { kind: 'zeros' },
      });
    this.encOutput = this.child('enc_output', linear(dModel));
    this.encOutputNorm = this.child('enc_output_norm', new LayerNorm(dModel));
    this.posTrans = this.child('pos_trans', linear(2 * dModel));
    this.posTransNorm = this.child('pos_trans_norm', new LayerNorm(2 * dModel));
  }

  /** @param classHead scores tokens; its first class counts @param boxHead moves their boxes */
  forward(image: LevelSequence, classHead: Linear, boxHead: MLP): FirstStage {
    const { usable, anchors } = noGrad(() => tf.tidy(() => anchorLogits(image)));
    const memory = this.encOutputNorm.forward(this.encOutput.forward(tf.mul(image.tokens, usable)));
    const logits = classHead.forward(memory) as tf.Tensor3D;
    const boxLogits = tf.add(boxHead.forward(memory), anchors) as tf.Tensor3D;
    const count = Math.min(this.options.queries, image.tokens.shape[1]);
    const chosen = noGrad(() => tf.tidy(() => firstClassTop(logits, count)));
    const references = noGrad(() =>
      tf.tidy(() => tf.sigmoid(tf.gather(detach(boxLogits), chosen, 1, 1))),
    ) as tf.Tensor3D;
    const embedded = noGrad(() => tf.tidy(() => sineCoordinates(references, this.options.dModel / 2)));
    const [position, content] = tf.split(this.posTransNorm.forward(this.posTrans.forward(embedded)), 2, -1);
    return {
      logits,
      boxLogits,
      chosen,
      references,
      position: position as tf.Tensor3D,
      content: content as tf.Tensor3D,
    };
  }
}

function firstClassTop(logits: tf.Tensor3D, count: number): tf.Tensor2D {
  const [batch, length] = logits.shape;
  const scores = tf.reshape(tf.slice(logits, [0, 0, 0], [-1, -1, 1]), [batch, length]);
  return tf.topk(scores, count, true).indices as tf.Tensor2D;
}

/**
 * Boxes standing at the tokens, before the sigmoid (infinite where none may stand), and 1 / 0 for which may.
 * @returns `anchors [batch or 1, S, 4]`, `usable [batch or 1, S, 1]`
 */
export function anchorLogits(image: LevelSequence): { usable: tf.Tensor3D; anchors: tf.Tensor3D } {
  const boxes = tokenAnchors(image); // [batch or 1, S, 4]
  const inside = tf.logicalAnd(tf.greater(boxes, MARGIN), tf.less(boxes, 1 - MARGIN));
  let usable = tf.all(inside, -1, true); // [batch or 1, S, 1]
  if (image.mask) usable = tf.logicalAnd(usable, tf.greater(tf.expandDims(image.mask, 2), 0));
  const logits = tf.log(tf.div(boxes, tf.sub(1, boxes)));
  const none = tf.fill(logits.shape, Number.POSITIVE_INFINITY);
  const anchors = tf.where(tf.broadcastTo(usable, logits.shape), logits, none) as tf.Tensor3D;
  return { usable: tf.cast(usable, 'float32') as tf.Tensor3D, anchors };
}
