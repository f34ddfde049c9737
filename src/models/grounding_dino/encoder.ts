// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad, type RandomStream } from '../../ops/index.js';
import { EncoderLayer as DeformableLayer } from '../deformable_detr/index.js';
import {
  type EncoderState,
  encoderReferencePoints,
  type LevelSequence,
  type TextSequence,
} from '../deformable_encoder.js';
import { MASKED, ProjectedAttention, type ProjectionNames } from '../layers/attention.js';
import { LayerNorm } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { sineCoordinates } from '../layers/position.js';
import { Module } from '../module.js';
import { FusionLayer } from './fusion.js';
import type { GroundingDinoOptions } from './options.js';
import type { PhraseLayout } from './phrases.js';

/** Names of projections in Hugging Face's files of Grounding DINO. */
export const PROJECTIONS: ProjectionNames = ['query', 'key', 'value', 'out_proj'];

/** Tokens read those of their phrase, then feed-forward; a norm behind each. */
class TextLayer extends Module {
  private readonly attention: ProjectedAttention;
  private readonly normBefore: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly normAfter: LayerNorm;

  constructor({ dModel, encoderHeads, encoderFfn }: GroundingDinoOptions) {
    super();
    this.attention = this.child('self_attn', new ProjectedAttention(dModel, encoderHeads / 2, PROJECTIONS));
    this.normBefore = this.child('layer_norm_before', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, encoderFfn / 2);
    this.child('fc1', this.ffn.linear1);
    this.child('fc2', this.ffn.linear2);
    this.normAfter = this.child('layer_norm_after', new LayerNorm(dModel));
  }

  forward(x: tf.Tensor3D, position: tf.Tensor, bias: tf.Tensor): tf.Tensor3D {
    const placed = tf.add(x, position);
    const y = this.normBefore.forward(tf.add(x, this.attention.forward(placed, placed, x, bias)));
    return this.normAfter.forward(tf.add(y, this.ffn.forward(y))) as tf.Tensor3D;
  }
}

/** The state after a layer, and within it after the fusion. */
export interface EncodedLayer extends EncoderState {
  fused: EncoderState;
}

/** Fusion, then text among itself, then the picture among itself. */
class EncoderLayer extends Module {
  readonly fusion: FusionLayer;
  readonly text: TextLayer;
  readonly deformable: DeformableLayer;

  constructor(options: GroundingDinoOptions) {
    super();
    const { dModel, encoderFfn, encoderHeads, fusionDropPath } = options;
    this.text = this.child('text_enhancer_layer', new TextLayer(options));
    this.fusion = this.child(
      'fusion_layer',
      new FusionLayer(dModel, encoderFfn / 2, encoderHeads / 2, fusionDropPath),
    );
    this.deformable = this.child('deformable_layer', new DeformableLayer(options));
  }
}

/**
 * Feature enhancer: image and text tokens, parameters `layers.N.{fusion_layer,text_enhancer_layer,deformable_layer}.*`.
 * Source: Liu et al. 2023, "Grounding DINO".
 */
export class Encoder extends Module {
  private readonly layers: EncoderLayer[];

  constructor(private readonly options: GroundingDinoOptions) {
    super();
    const layers = Array.from({ length: options.encoderLayers }, () => new EncoderLayer(options));
    this.layers = this.children('layers', layers);
  }

  /** @param random draws what training drops @returns what each layer makes */
  forward(
    image: LevelSequence,
    text: TextSequence,
    { attention, positions }: PhraseLayout,
    random: RandomStream | null,
  ): EncodedLayer[] {
    const reference = encoderReferencePoints(image);
    const bias = tf.mul(tf.sub(1, tf.expandDims(attention, 1)), MASKED);
    const places = tf.expandDims(tf.cast(positions, 'float32'), 2);
    const textPosition = noGrad(() => sineCoordinates(places, this.options.dModel));
    let state: EncoderState = { image: image.tokens, text: text.tokens };
    return this.layers.map((layer) => {
      const input = { image: state.image, imageMask: image.mask, text: { ...text, tokens: state.text } };
      const fused = layer.fusion.forward(input, random);
      state = {
        text: layer.text.forward(fused.text, textPosition, bias),
        image: layer.deformable.forward(fused.image, image, reference),
      };
      return { ...state, fused };
    });
  }
}
