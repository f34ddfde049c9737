// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { keyPaddingBias, MultiheadAttention } from './layers/attention.js';
import { LayerNorm } from './layers/basic.js';
import { FeedForward } from './layers/feed_forward.js';
import { MSDeformAttn } from './layers/ms_deform_attn.js';
import { Module } from './module.js';

/** Feature levels as one sequence. */
export interface LevelSequence {
  /** `[batch, S, C]`, levels one after the other, row-major. */
  tokens: tf.Tensor3D;
  /** `[batch, S, C]` or `[1, S, C]`, sine position plus level embedding. */
  position: tf.Tensor3D;
  /** `(H, W)` of each level. */
  spatialShapes: [number, number][];
  /** `[batch, S]`, 1 = real, or null when nothing is padded. */
  mask: tf.Tensor2D | null;
  /** `[batch, levels, 2]`, real part of (width, height) of each level, or null for all ones. */
  validRatios: tf.Tensor3D | null;
}

/** What samples are taken from: levels as one sequence, without positions. */
export type LevelMemory = Omit<LevelSequence, 'position'>;

/** Text tokens and which of them are real. */
export interface TextSequence {
  /** `[batch, tokens, C]` */
  tokens: tf.Tensor3D;
  /** `[batch, tokens]`, 1 = real. */
  mask: tf.Tensor2D;
}

/** How much of its place a token or query starts with. */
export const PLACE_GAIN = 0.5;

export interface EncoderLayerConfig {
  dModel: number;
  heads: number;
  levels: number;
  points: number;
  ffn: number;
  /** Image tokens look at the text in every layer. */
  textToImage: boolean;
  /** Text tokens look at the image in every layer, so that words of place and size can be resolved. */
  imageToText: boolean;
}

/**
 * One encoder layer: deformable self-attention over the levels, exchange with the text, feed-forward; norms after each.
 * Deformable attention is Zhu et al. 2021; the exchange follows the idea of Li et al. 2022 (GLIP) with plain
 * cross-attention both ways.
 */
export class DeformableEncoderLayer extends Module {
  private readonly selfAttn: MSDeformAttn;
  private readonly norm1: LayerNorm;
  private readonly textAttn: MultiheadAttention | null;
  private readonly normText: LayerNorm | null;
  private readonly imageAttn: MultiheadAttention | null;
  private readonly normImage: LayerNorm | null;
  private readonly ffn: FeedForward;
  private readonly norm2: LayerNorm;

  constructor(config: EncoderLayerConfig) {
    super();
    const { dModel, heads, levels, points } = config;
    this.selfAttn = this.child('self_attn', new MSDeformAttn({ dModel, heads, levels, points }));
    this.norm1 = this.child('norm1', new LayerNorm(dModel));
    this.imageAttn = config.imageToText
      ? this.child('cross_attn_image', new MultiheadAttention(dModel, heads))
      : null;
    this.normImage = config.imageToText ? this.child('norm_image', new LayerNorm(dModel)) : null;
    this.textAttn = config.textToImage
      ? this.child('cross_attn_text', new MultiheadAttention(dModel, heads))
      : null;
    this.normText = config.textToImage ? this.child('norm_text', new LayerNorm(dModel)) : null;
    this.ffn = new FeedForward(dModel, config.ffn);
    this.child('linear1', this.ffn.linear1);
    this.child('linear2', this.ffn.linear2);
    this.norm2 = this.child('norm2', new LayerNorm(dModel));
  }

  /** @param reference `[batch, S, levels, 2]` @returns image and text tokens after the layer */
  forward(
    image: LevelSequence,
    text: TextSequence,
    reference: tf.Tensor,
  ): { image: tf.Tensor3D; text: tf.Tensor3D } {
    const attended = this.selfAttn.forward(
      tf.add(image.tokens, image.position),
      reference,
      image.tokens,
      image.spatialShapes,
      image.mask,
    );
    let x = this.norm1.forward(tf.add(image.tokens, attended));
    let words: tf.Tensor = text.tokens;
    if (this.imageAttn && this.normImage) {
      const bias = image.mask ? keyPaddingBias(image.mask) : null;
      // Places go into the words too, not only into where they look: "left of the tank" must say where the tank is.
      const placed = tf.add(x, image.position);
      const seen = this.imageAttn.forward(words, placed, placed, bias);
      words = this.normImage.forward(tf.add(words, seen));
    }
    if (this.textAttn && this.normText) {
      const read = this.textAttn.forward(tf.add(x, image.position), words, words, keyPaddingBias(text.mask));
      x = this.normText.forward(tf.add(x, read));
    }
    x = this.norm2.forward(tf.add(x, this.ffn.forward(x)));
    return { image: x as tf.Tensor3D, text: words as tf.Tensor3D };
  }
}

/** Image tokens `[batch, S, C]` and text tokens `[batch, tokens, C]`. */
export interface EncoderState {
  image: tf.Tensor3D;
  text: tf.Tensor3D;
}

/**
 * A stack of encoder layers; parameters `layers.N.*`, `place_gain`.
 *
 * Tokens start with `place_gain` times their positions in them, so that what is passed on can say where it was seen. The gain
 * is learned from one half; from 0 it stays there, and places are not learned.
 */
export class DeformableEncoder extends Module {
  readonly layers: DeformableEncoderLayer[];
  private readonly placeGain: tf.Variable;

  constructor(config: EncoderLayerConfig & { layers: number }) {
    super();
    this.layers = this.children(
      'layers',
      Array.from({ length: config.layers }, () => new DeformableEncoderLayer(config)),
    );
    this.placeGain = this.parameter('place_gain', {
      shape: [config.dModel],
      init: { kind: 'constant', value: PLACE_GAIN },
    });
  }

  /** @returns memory `[batch, S, C]` and text `[batch, tokens, C]` after the last layer, and after each */
  forward(image: LevelSequence, text: TextSequence): EncoderState & { layers: EncoderState[] } {
    const reference = encoderReferencePoints(image);
    const placed = tf.add(image.tokens, tf.mul(image.position, this.placeGain)) as tf.Tensor3D;
    let state: EncoderState = { image: placed, text: text.tokens };
    const layers = this.layers.map((layer) => {
      state = layer.forward({ ...image, tokens: state.image }, { ...text, tokens: state.text }, reference);
      return state;
    });
    return { ...state, layers };
  }
}

/** Centres of all tokens in [0, 1] of their own level, as a flat `[S, 2]` array of (x, y). */
export function tokenCentres(spatialShapes: readonly (readonly [number, number])[]): Float32Array {
  const total = spatialShapes.reduce((sum, [h, w]) => sum + h * w, 0);
  const centres = new Float32Array(total * 2);
  let at = 0;
  for (const [h, w] of spatialShapes) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        centres[at++] = (x + 0.5) / w;
        centres[at++] = (y + 0.5) / h;
      }
    }
  }
  return centres;
}

/**
 * Where each token samples from at zero offset: `[batch, S, levels, 2]`. Centres are measured in the real part of the
 * token's own level and then placed in the real part of every level (Deformable DETR).
 */
export function encoderReferencePoints(image: LevelSequence): tf.Tensor4D {
  const levels = image.spatialShapes.length;
  const batch = image.tokens.shape[0];
  const centres = tf.tensor(tokenCentres(image.spatialShapes), [1, image.tokens.shape[1], 1, 2]);
  if (!image.validRatios) return tf.tile(centres, [batch, 1, levels, 1]) as tf.Tensor4D;
  const own = tf.concat(
    image.spatialShapes.map(([h, w], level) =>
      tf.tile(tf.slice(image.validRatios!, [0, level, 0], [-1, 1, -1]), [1, h * w, 1]),
    ),
    1,
  ); // [batch, S, 2]
  const inReal = tf.div(centres, tf.expandDims(own, 2)); // [batch, S, 1, 2]
  return tf.mul(inReal, tf.expandDims(image.validRatios, 1)) as tf.Tensor4D;
}
