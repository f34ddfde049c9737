// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import type { LevelSequence, TextSequence } from '../deformable_encoder.js';
import { keyPaddingBias, ProjectedAttention } from '../layers/attention.js';
import { LayerNorm, MLP } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { inverseSigmoid, sineCoordinates } from '../layers/position.js';
import { Module } from '../module.js';
import { PROJECTIONS } from './encoder.js';
import type { GroundingDinoOptions } from './options.js';

/** Queries look at each other, at the words, at the picture near their box, then feed-forward; a norm behind each. */
class DecoderLayer extends Module {
  private readonly selfAttention: ProjectedAttention;
  private readonly selfNorm: LayerNorm;
  private readonly textAttention: ProjectedAttention;
  private readonly textNorm: LayerNorm;
  private readonly imageAttention: MSDeformAttn;
  private readonly imageNorm: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly finalNorm: LayerNorm;

  constructor(options: GroundingDinoOptions) {
    super();
    const { dModel, decoderHeads: heads, levels, decoderPoints: points, decoderFfn } = options;
    this.selfAttention = this.child('self_attn', new ProjectedAttention(dModel, heads, PROJECTIONS));
    this.selfNorm = this.child('self_attn_layer_norm', new LayerNorm(dModel));
    this.textAttention = this.child('encoder_attn_text', new ProjectedAttention(dModel, heads, PROJECTIONS));
    this.textNorm = this.child('encoder_attn_text_layer_norm', new LayerNorm(dModel));
    this.imageAttention = this.child('encoder_attn', new MSDeformAttn({ dModel, heads, levels, points }));
    this.imageNorm = this.child('encoder_attn_layer_norm', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, decoderFfn);
    this.child('fc1', this.ffn.linear1);
    this.child('fc2', this.ffn.linear2);
    this.finalNorm = this.child('final_layer_norm', new LayerNorm(dModel));
  }

  /** @param x `[batch, Q, C]` @param reference `[batch, Q, levels, 4]` @param bias hides padding of the text */
  forward(
    x: tf.Tensor,
    position: tf.Tensor,
    reference: tf.Tensor,
    image: LevelSequence,
    words: tf.Tensor,
    bias: tf.Tensor,
  ): tf.Tensor3D {
    const query = tf.add(x, position);
    let y = this.selfNorm.forward(tf.add(x, this.selfAttention.forward(query, query, x)));
    const read = this.textAttention.forward(tf.add(y, position), words, words, bias);
    y = this.textNorm.forward(tf.add(y, read));
    const { tokens, spatialShapes, mask } = image;
    const seen = this.imageAttention.forward(tf.add(y, position), reference, tokens, spatialShapes, mask);
    y = this.imageNorm.forward(tf.add(y, seen));
    return this.finalNorm.forward(tf.add(y, this.ffn.forward(y))) as tf.Tensor3D;
  }
}

/** What decoder layers give, one entry a layer. */
export interface DecoderOutput {
  /** `[batch, Q, C]`, normalised. */
  hidden: tf.Tensor3D[];
  /** Boxes that each layer started from, `[batch, Q, 4]`, constants. */
  from: tf.Tensor3D[];
  /** Boxes for the next layer, `[batch, Q, 4]`, constants. */
  references: tf.Tensor3D[];
  /** `[batch, Q, C]` */
  positions: tf.Tensor3D[];
}

/**
 * Decoder whose boxes are refined layer by layer. Parameters `layers.N.*`, `layer_norm`, `reference_points_head.layers.*`.
 * Source: Liu et al. 2023, "Grounding DINO".
 */
export class Decoder extends Module {
  private readonly layers: DecoderLayer[];
  private readonly norm: LayerNorm;
  private readonly positionHead: MLP;

  constructor(private readonly options: GroundingDinoOptions) {
    super();
    const { dModel, decoderLayers } = options;
    const layers = Array.from({ length: decoderLayers }, () => new DecoderLayer(options));
    this.layers = this.children('layers', layers);
    this.norm = this.child('layer_norm', new LayerNorm(dModel));
    this.positionHead = this.child('reference_points_head', new MLP(2 * dModel, dModel, dModel, 2));
  }

  /**
   * @param content `[batch, Q, C]`
   * @param first `[batch, Q, 4]` first boxes
   * @param boxHeads one a layer
   */
  forward(
    content: tf.Tensor3D,
    first: tf.Tensor3D,
    image: LevelSequence,
    text: TextSequence,
    boxHeads: readonly MLP[],
  ): DecoderOutput {
    const output: DecoderOutput = { hidden: [], from: [], references: [], positions: [] };
    const bias = keyPaddingBias(text.mask);
    let x = content;
    let boxes = first;
    for (const [i, layer] of this.layers.entries()) {
      const byLevel = levelBoxes(boxes, image);
      const position = this.positionHead.forward(this.waves(byLevel)) as tf.Tensor3D;
      x = layer.forward(x, position, byLevel, image, text.tokens, bias);
      output.from.push(boxes);
      boxes = noGrad(() => refine(boxHeads[i]!, x, boxes, this.options.referenceEps));
      output.hidden.push(this.norm.forward(x) as tf.Tensor3D);
      output.references.push(boxes);
      output.positions.push(position);
    }
    return output;
  }

  /** Sine embedding of boxes in the finest level, in the order y, x, w, h: `[batch, Q, 2 C]`. */
  private waves(byLevel: tf.Tensor): tf.Tensor {
    const [batch, queries] = byLevel.shape as [number, number];
    const boxes = tf.slice(byLevel, [0, 0, 0, 0], [-1, -1, 1, -1]).reshape([batch, queries, 4]);
    const [x, y, size] = tf.split(boxes, [1, 1, 2], 2);
    return sineCoordinates(tf.concat([y!, x!, size!], 2), this.options.dModel / 2);
  }
}

/** Boxes moved by a head. Those that a layer starts from are constants: the loss sees its own. */
function refine(head: MLP, x: tf.Tensor, boxes: tf.Tensor3D, eps?: number): tf.Tensor3D {
  return tf.tidy(() => tf.sigmoid(tf.add(head.forward(x), inverseSigmoid(boxes, eps)))) as tf.Tensor3D;
}

/** Boxes in the real part of every level: `[batch, Q, levels, 4]`. */
function levelBoxes(boxes: tf.Tensor3D, { validRatios, spatialShapes }: LevelSequence): tf.Tensor {
  const byLevel = tf.expandDims(boxes, 2);
  if (!validRatios) return tf.tile(byLevel, [1, 1, spatialShapes.length, 1]);
  return tf.mul(byLevel, tf.expandDims(tf.concat([validRatios, validRatios], -1), 1));
}
