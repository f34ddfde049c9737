// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach } from '../ops/index.js';
import { moveBoxes } from './boxes.js';
import { type LevelMemory, PLACE_GAIN, type TextSequence } from './deformable_encoder.js';
import { keyPaddingBias, MultiheadAttention } from './layers/attention.js';
import { LayerNorm, MLP } from './layers/basic.js';
import { FeedForward } from './layers/feed_forward.js';
import { MSDeformAttn } from './layers/ms_deform_attn.js';
import { sineCoordinates } from './layers/position.js';
import { Module } from './module.js';

export interface DecoderLayerConfig {
  dModel: number;
  heads: number;
  levels: number;
  points: number;
  ffn: number;
}

/**
 * One decoder layer: queries look at each other, at the words, at the picture near their box, then feed-forward; norms
 * after each. Names follow Deformable DETR (`norm2` self, `norm1` cross, `norm3` feed-forward).
 */
export class DeformableDecoderLayer extends Module {
  private readonly selfAttn: MultiheadAttention;
  private readonly norm2: LayerNorm;
  private readonly textAttn: MultiheadAttention;
  private readonly normText: LayerNorm;
  private readonly crossAttn: MSDeformAttn;
  private readonly norm1: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly norm3: LayerNorm;

  constructor(config: DecoderLayerConfig) {
    super();
    const { dModel, heads, levels, points } = config;
    this.selfAttn = this.child('self_attn', new MultiheadAttention(dModel, heads));
    this.norm2 = this.child('norm2', new LayerNorm(dModel));
    this.textAttn = this.child('cross_attn_text', new MultiheadAttention(dModel, heads));
    this.normText = this.child('norm_text', new LayerNorm(dModel));
    this.crossAttn = this.child('cross_attn', new MSDeformAttn({ dModel, heads, levels, points }));
    this.norm1 = this.child('norm1', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, config.ffn);
    this.child('linear1', this.ffn.linear1);
    this.child('linear2', this.ffn.linear2);
    this.norm3 = this.child('norm3', new LayerNorm(dModel));
  }

  /**
   * @param x `[batch, Q, C]` @param position `[batch, Q, C]` @param reference `[batch, Q, levels, 4]`
   * @param queryBias added to the scores between queries (denoising groups), or null
   */
  forward(
    x: tf.Tensor,
    position: tf.Tensor,
    reference: tf.Tensor,
    image: LevelMemory,
    text: TextSequence,
    queryBias: tf.Tensor | null,
  ): tf.Tensor {
    const self = tf.add(x, position);
    // Places are part of what queries tell each other: the leftmost one is known by where the others are.
    let y = this.norm2.forward(tf.add(x, this.selfAttn.forward(self, self, self, queryBias)));
    const words = text.tokens;
    const read = this.textAttn.forward(tf.add(y, position), words, words, keyPaddingBias(text.mask));
    y = this.normText.forward(tf.add(y, read));
    const seen = this.crossAttn.forward(
      tf.add(y, position),
      reference,
      image.tokens,
      image.spatialShapes,
      image.mask,
    );
    y = this.norm1.forward(tf.add(y, seen));
    return this.norm3.forward(tf.add(y, this.ffn.forward(y)));
  }
}

/** What a decoder layer gives. */
export interface DecoderLayerOutput {
  /** `[batch, Q, C]` */
  hidden: tf.Tensor3D;
  /** `[batch, Q, 4]`, (cx, cy, w, h) in [0, 1]. */
  boxes: tf.Tensor3D;
}

/**
 * Decoder whose boxes are refined layer by layer (references detached between layers, as in Deformable DETR).
 * Parameters `layers.N.*`, `bbox_embed.N.layers.*`, `ref_point_head.layers.*`, and `place_gain`, learned: how much of its
 * place a query starts with.
 */
export class DeformableDecoder extends Module {
  readonly layers: DeformableDecoderLayer[];
  private readonly bboxEmbed: MLP[];
  private readonly refPointHead: MLP;
  private readonly placeGain: tf.Variable;
  private readonly dModel: number;

  constructor(config: DecoderLayerConfig & { layers: number }) {
    super();
    const { dModel, layers } = config;
    this.dModel = dModel;
    this.layers = this.children(
      'layers',
      Array.from({ length: layers }, () => new DeformableDecoderLayer(config)),
    );
    this.bboxEmbed = this.children(
      'bbox_embed',
      Array.from({ length: layers }, () => new MLP(dModel, dModel, 4, 3, { bias: [0, 0, 0, 0] })),
    );
    this.placeGain = this.parameter('place_gain', {
      shape: [dModel],
      init: { kind: 'constant', value: PLACE_GAIN },
    });
    this.refPointHead = this.child('ref_point_head', new MLP(2 * dModel, dModel, dModel, 2));
  }

  /**
   * @param content `[batch, Q, C]` first content of the queries
   * @param references `[batch, Q, 4]` first boxes
   * @param queryBias scores added between queries, broadcast to `[batch, heads, Q, Q]`, or null
   */
  forward(
    content: tf.Tensor3D,
    references: tf.Tensor3D,
    image: LevelMemory,
    text: TextSequence,
    queryBias: tf.Tensor | null = null,
  ): DecoderLayerOutput[] {
    let x: tf.Tensor = content;
    let boxes = references;
    return this.layers.map((layer, i) => {
      const position = this.refPointHead.forward(sineCoordinates(boxes, this.dModel / 2));
      if (i === 0) x = tf.add(x, tf.mul(position, this.placeGain));
      x = layer.forward(x, position, this.levelReferences(boxes, image), image, text, queryBias);
      const refined = moveBoxes(boxes, this.bboxEmbed[i]!.forward(x)) as tf.Tensor3D;
      boxes = detach(refined);
      return { hidden: x as tf.Tensor3D, boxes: refined };
    });
  }

  /** Boxes in the real part of every level: `[batch, Q, levels, 4]`. */
  private levelReferences(boxes: tf.Tensor3D, image: LevelMemory): tf.Tensor {
    const byLevel = tf.expandDims(boxes, 2);
    if (!image.validRatios) return tf.tile(byLevel, [1, 1, image.spatialShapes.length, 1]);
    const ratios = tf.concat([image.validRatios, image.validRatios], -1); // [batch, levels, 4]
    return tf.mul(byLevel, tf.expandDims(ratios, 1));
  }
}
