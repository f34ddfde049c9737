// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { encoderReferencePoints, type LevelSequence } from '../deformable_encoder.js';
import { LayerNorm } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { Module } from '../module.js';
import type { DeformableDetrOptions } from './options.js';

/** Sizes of an encoder layer. */
export type EncoderLayerOptions = Pick<
  DeformableDetrOptions,
  'dModel' | 'encoderHeads' | 'encoderPoints' | 'encoderFfn' | 'levels'
>;

/** Deformable self-attention over all levels, then a feed-forward network; a norm behind each. */
export class EncoderLayer extends Module {
  private readonly attention: MSDeformAttn;
  private readonly attentionNorm: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly finalNorm: LayerNorm;

  constructor(options: EncoderLayerOptions) {
    super();
    const { dModel, encoderHeads: heads, levels, encoderPoints: points, encoderFfn } = options;
    this.attention = this.child('self_attn', new MSDeformAttn({ dModel, heads, levels, points }));
    this.attentionNorm = this.child('self_attn_layer_norm', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, encoderFfn);
    this.child('fc1', this.ffn.linear1);
    this.child('fc2', this.ffn.linear2);
    this.finalNorm = this.child('final_layer_norm', new LayerNorm(dModel));
  }

  forward(tokens: tf.Tensor, image: LevelSequence, reference: tf.Tensor): tf.Tensor3D {
    const query = tf.add(tokens, image.position);
    const attended = this.attention.forward(query, reference, tokens, image.spatialShapes, image.mask);
    const y = this.attentionNorm.forward(tf.add(tokens, attended));
    return this.finalNorm.forward(tf.add(y, this.ffn.forward(y))) as tf.Tensor3D;
  }
}

/** A stack of encoder layers, parameters `layers.N.*`. Source: Zhu et al. 2021, "Deformable DETR". */
export class Encoder extends Module {
  private readonly layers: EncoderLayer[];

  constructor(options: DeformableDetrOptions) {
    super();
    const layers = Array.from({ length: options.encoderLayers }, () => new EncoderLayer(options));
    this.layers = this.children('layers', layers);
  }

  /** @returns `[batch, S, C]` after each layer */
  forward(image: LevelSequence): tf.Tensor3D[] {
    const reference = encoderReferencePoints(image);
    let tokens = image.tokens;
    return this.layers.map((layer) => {
      tokens = layer.forward(tokens, image, reference);
      return tokens;
    });
  }
}
