// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach, noGrad } from '../ops/index.js';
import { moveBoxes } from './boxes.js';
import type { LevelSequence, TextSequence } from './deformable_encoder.js';
import { tokenCentres } from './deformable_encoder.js';
import { TokenSigmoidHead } from './heads.js';
import { MASKED } from './layers/attention.js';
import { LayerNorm, Linear, MLP } from './layers/basic.js';
import { Module } from './module.js';

/** Side of the box that stands at each token of the finest level; twice as large on each coarser one. */
const ANCHOR_SIDE = 0.05;

/** What every image token says for itself. */
export interface Proposals {
  /** `[batch, S, tokens]` */
  logits: tf.Tensor3D;
  /** `[batch, S, 4]`, (cx, cy, w, h) in [0, 1]. */
  boxes: tf.Tensor3D;
  /** `[batch, S, C]`, what both were read from. */
  hidden: tf.Tensor3D;
}

/**
 * Queries chosen by the text: each image token scores itself against the words and proposes a box; the best ones become
 * the decoder's first boxes. Parameters `enc_output`, `enc_output_norm`, `enc_class.*`, `enc_bbox_embed.layers.*`.
 * Source: language-guided query selection (Liu et al. 2023, Grounding DINO) over Deformable DETR's two stages.
 */
export class TextQuerySelection extends Module {
  private readonly output: Linear;
  private readonly norm: LayerNorm;
  private readonly head: TokenSigmoidHead;
  private readonly bbox: MLP;

  constructor(
    dModel: number,
    hdim: number,
    private readonly queries: number,
  ) {
    super();
    this.output = this.child('enc_output', new Linear(dModel, dModel));
    this.norm = this.child('enc_output_norm', new LayerNorm(dModel));
    this.head = this.child('enc_class', new TokenSigmoidHead(dModel, hdim));
    this.bbox = this.child('enc_bbox_embed', new MLP(dModel, dModel, 4, 3, { bias: [0, 0, 0, 0] }));
  }

  /**
   * @param wordMask `[batch, tokens]`, 1 = a token that may be answered to (no padding, no special token)
   * @returns all proposals, and the chosen boxes `[batch, min(queries, S), 4]` as constants
   */
  forward(
    memory: tf.Tensor3D,
    image: LevelSequence,
    text: TextSequence,
    wordMask: tf.Tensor2D,
  ): { proposals: Proposals; references: tf.Tensor3D } {
    const hidden = this.norm.forward(this.output.forward(memory));
    const logits = this.head.forward(hidden, text.tokens);
    const boxes = moveBoxes(tokenAnchors(image), this.bbox.forward(hidden)) as tf.Tensor3D;
    const chosen = noGrad(() => tf.tidy(() => this.best(logits, image, wordMask)));
    const references = noGrad(() => tf.tidy(() => tf.gather(detach(boxes), chosen, 1, 1))) as tf.Tensor3D;
    return { proposals: { logits, boxes, hidden: hidden as tf.Tensor3D }, references };
  }

  /** int32 `[batch, k]`: tokens whose best word is strongest. */
  private best(logits: tf.Tensor3D, image: LevelSequence, wordMask: tf.Tensor2D): tf.Tensor2D {
    const hidden = tf.expandDims(tf.mul(tf.sub(1, wordMask), MASKED), 1);
    let score = tf.max(tf.add(logits, hidden), -1); // [batch, S]
    if (image.mask) score = tf.add(score, tf.mul(tf.sub(1, image.mask), MASKED));
    const k = Math.min(this.queries, score.shape[1]!);
    return tf.topk(score, k, true).indices as tf.Tensor2D;
  }
}

/** Boxes standing at the token centres, `[batch or 1, S, 4]`, measured in the real part of the picture. */
export function tokenAnchors(image: LevelSequence): tf.Tensor3D {
  const centres = tokenCentres(image.spatialShapes);
  const anchors = new Float32Array(centres.length * 2);
  let at = 0;
  image.spatialShapes.forEach(([h, w], level) => {
    for (let i = 0; i < h * w; i++, at++) {
      const side = ANCHOR_SIDE * 2 ** level;
      anchors.set([centres[2 * at]!, centres[2 * at + 1]!, side, side], 4 * at);
    }
  });
  const fixed = tf.tensor3d(anchors, [1, at, 4]);
  if (!image.validRatios) return fixed;
  // Boxes are relative to the real picture; centres so far to the padded map.
  const own = tf.concat(
    image.spatialShapes.map(([h, w], level) =>
      tf.tile(tf.slice(image.validRatios!, [0, level, 0], [-1, 1, -1]), [1, h * w, 1]),
    ),
    1,
  );
  const [xy, wh] = tf.split(fixed, 2, -1) as [tf.Tensor3D, tf.Tensor3D];
  const batch = own.shape[0]!;
  return tf.concat([tf.div(xy, own), tf.tile(wh, [batch, 1, 1])], -1) as tf.Tensor3D;
}
