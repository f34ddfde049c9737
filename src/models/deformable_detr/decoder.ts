// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach } from '../../ops/index.js';
import type { LevelSequence } from '../deformable_encoder.js';
import { ProjectedAttention } from '../layers/attention.js';
import { LayerNorm, type MLP } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { inverseSigmoid } from '../layers/position.js';
import { Module } from '../module.js';
import type { DeformableDetrOptions } from './options.js';

/** Queries look at each other, then at the picture near their box, then feed-forward; a norm behind each. */
class DecoderLayer extends Module {
  private readonly selfAttention: ProjectedAttention;
  private readonly selfNorm: LayerNorm;
  private readonly crossAttention: MSDeformAttn;
  private readonly crossNorm: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly finalNorm: LayerNorm;

  constructor(options: DeformableDetrOptions) {
    super();
    const { dModel, decoderHeads: heads, levels, decoderPoints: points, decoderFfn } = options;
    this.selfAttention = this.child('self_attn', new ProjectedAttention(dModel, heads));
    this.selfNorm = this.child('self_attn_layer_norm', new LayerNorm(dModel));
    this.crossAttention = this.child('encoder_attn', new MSDeformAttn({ dModel, heads, levels, points }));
    this.crossNorm = this.child('encoder_attn_layer_norm', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, decoderFfn);
    this.child('fc1', this.ffn.linear1);
    this.child('fc2', this.ffn.linear2);
    this.finalNorm = this.child('final_layer_norm', new LayerNorm(dModel));
  }

  /** @param x `[batch, Q, C]` @param reference `[batch, Q, levels, 2 or 4]` */
  forward(x: tf.Tensor, position: tf.Tensor, reference: tf.Tensor, image: LevelSequence): tf.Tensor3D {
    const query = tf.add(x, position);
    let y = this.selfNorm.forward(tf.add(x, this.selfAttention.forward(query, query, x)));
    const { tokens, spatialShapes, mask } = image;
    const place = tf.add(y, position);
    const seen = this.crossAttention.forward(place, reference, tokens, spatialShapes, mask);
    y = this.crossNorm.forward(tf.add(y, seen));
    return this.finalNorm.forward(tf.add(y, this.ffn.forward(y))) as tf.Tensor3D;
  }
}

/** What decoder layers give, one entry a layer. */
export interface DecoderOutput {
  /** `[batch, Q, C]` */
  hidden: tf.Tensor3D[];
  /** `[batch, Q, 4]` (cx, cy, w, h) in [0, 1] */
  boxes: tf.Tensor3D[];
  /** Where the next layer looks: `[batch, Q, 2 or 4]`. */
  references: tf.Tensor3D[];
}

/** A stack of decoder layers, parameters `layers.N.*`. Source: Zhu et al. 2021, "Deformable DETR". */
export class Decoder extends Module {
  private readonly layers: DecoderLayer[];

  constructor(private readonly options: DeformableDetrOptions) {
    super();
    const layers = Array.from({ length: options.decoderLayers }, () => new DecoderLayer(options));
    this.layers = this.children('layers', layers);
  }

  /**
   * @param content `[batch, Q, C]` @param position `[batch, Q, C]`
   * @param first `[batch, Q, 2 or 4]` first reference points, in [0, 1]
   * @param boxHeads one a layer
   */
  forward(
    content: tf.Tensor3D,
    position: tf.Tensor3D,
    first: tf.Tensor3D,
    image: LevelSequence,
    boxHeads: readonly MLP[],
  ): DecoderOutput {
    const output: DecoderOutput = { hidden: [], boxes: [], references: [] };
    let x = content;
    let reference = first;
    for (const [i, layer] of this.layers.entries()) {
      x = layer.forward(x, position, levelReferences(reference, image), image);
      const boxes = moveBoxes(boxHeads[i]!.forward(x), reference);
      if (this.options.boxRefine) reference = detach(boxes);
      output.hidden.push(x);
      output.boxes.push(boxes);
      output.references.push(reference);
    }
    return output;
  }
}

/** Boxes from what a head says, relative to reference points (which have no size) or boxes. */
function moveBoxes(delta: tf.Tensor, reference: tf.Tensor3D): tf.Tensor3D {
  const from = inverseSigmoid(reference);
  const start =
    reference.shape[2] === 4
      ? from
      : tf.pad(from, [
          [0, 0],
          [0, 0],
          [0, 2],
        ]);
  return tf.sigmoid(tf.add(delta, start)) as tf.Tensor3D;
}

/** Reference points in the real part of every level: `[batch, Q, levels, 2 or 4]`. */
function levelReferences(reference: tf.Tensor3D, { validRatios, spatialShapes }: LevelSequence): tf.Tensor {
  const byLevel = tf.expandDims(reference, 2);
  if (!validRatios) return tf.tile(byLevel, [1, 1, spatialShapes.length, 1]);
  const ratios = reference.shape[2] === 4 ? tf.concat([validRatios, validRatios], -1) : validRatios;
  return tf.mul(byLevel, tf.expandDims(ratios, 1));
}
