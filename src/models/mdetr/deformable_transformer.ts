// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type LevelSequence, tokenCentres } from '../deformable_encoder.js';
import { keyPaddingBias } from '../layers/attention.js';
import { LayerNorm, Linear } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { inverseSigmoid } from '../layers/position.js';
import { TextResizer } from '../layers/text_resizer.js';
import { levelSequence } from '../level_sequence.js';
import { Module } from '../module.js';
import { numbered } from '../stages.js';
import { DecoderLayer } from './layers.js';
import type { MdetrGUpstreamOptions } from './options.js';
import {
  SINE,
  type SoftTokenTransformer,
  type TransformerInput,
  type TransformerOutput,
} from './transformer.js';

/** Reference points stay this far from the border. */
const MARGIN = 1e-5;

const NAMES = { image: 'cross_attn_img.mod', imageNorm: 'norm2', finalNorm: 'norm4' };

function inside(points: tf.Tensor): tf.Tensor {
  return tf.clipByValue(points, MARGIN, 1 - MARGIN);
}

/** Points in the real part of every level: `[batch, N, levels, 2]`. @param points `[batch, N, 2]` */
function byLevel(points: tf.Tensor, { validRatios, spatialShapes }: LevelSequence): tf.Tensor {
  const each = tf.expandDims(points, 2);
  if (!validRatios) return inside(tf.tile(each, [1, 1, spatialShapes.length, 1]));
  return inside(tf.mul(each, tf.expandDims(validRatios, 1)));
}

/** mmcv's attention returns what it sees with its query added; the layer adds its own input once more. */
function lookAround(
  attention: MSDeformAttn,
  query: tf.Tensor,
  points: tf.Tensor,
  image: LevelSequence,
): tf.Tensor {
  const { tokens, spatialShapes, mask } = image;
  return tf.add(attention.forward(query, points, tokens, spatialShapes, mask), query);
}

/** Deformable self-attention, then feed-forward; a norm behind each. */
class EncoderLayer extends Module {
  private readonly attention: MSDeformAttn;
  private readonly norm1: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly norm2: LayerNorm;

  constructor({ dModel, heads, levels, points, ffn }: MdetrGUpstreamOptions) {
    super();
    this.attention = this.child('self_attn.mod', new MSDeformAttn({ dModel, heads, levels, points }));
    this.norm1 = this.child('norm1', new LayerNorm(dModel));
    this.ffn = new FeedForward(dModel, ffn);
    this.child('linear1', this.ffn.linear1);
    this.child('linear2', this.ffn.linear2);
    this.norm2 = this.child('norm2', new LayerNorm(dModel));
  }

  /** @returns tokens after the layer, and what its attention gave */
  forward(image: LevelSequence, points: tf.Tensor): { tokens: tf.Tensor3D; seen: tf.Tensor } {
    const seen = lookAround(this.attention, tf.add(image.tokens, image.position), points, image);
    const y = this.norm1.forward(tf.add(image.tokens, seen));
    return { tokens: this.norm2.forward(tf.add(y, this.ffn.forward(y))) as tf.Tensor3D, seen };
  }
}

/**
 * MDETR-G's deformable transformer, as published: the image alone goes through the encoder, queries may read the text
 * behind the image, and sampling points move from layer to layer while boxes are predicted apart from them.
 * Source: https://github.com/DarkSideii/mdetr_g, with the attention of https://github.com/open-mmlab/mmcv.
 */
export class UpstreamDeformableTransformer extends Module implements SoftTokenTransformer {
  readonly levels: number;
  private readonly resizer: TextResizer;
  private readonly levelEmbed: tf.Variable;
  private readonly encoderLayers: EncoderLayer[];
  private readonly decoderLayers: DecoderLayer<MSDeformAttn>[];
  private readonly norm: LayerNorm;
  private readonly firstPoints: Linear;
  private readonly pointMoves: Linear[];

  constructor(
    private readonly options: MdetrGUpstreamOptions,
    textHidden: number,
  ) {
    super();
    const { dModel, heads, levels, points, encoderLayers, decoderLayers, textAttention } = options;
    this.levels = levels;
    this.resizer = this.child('resizer', new TextResizer(textHidden, dModel));
    this.levelEmbed = this.parameter('level_embed', {
      shape: [levels, dModel],
      init: { kind: 'normal', std: 0.01 },
    });
    this.encoderLayers = this.children(
      'encoder.layers',
      Array.from({ length: encoderLayers }, () => new EncoderLayer(options)),
    );
    const attention = () => new MSDeformAttn({ dModel, heads, levels, points });
    this.decoderLayers = this.children(
      'decoder.layers',
      Array.from(
        { length: decoderLayers },
        () => new DecoderLayer(options, NAMES, attention(), textAttention),
      ),
    );
    this.norm = this.child('decoder.norm', new LayerNorm(dModel));
    this.firstPoints = this.child('decoder.ref_point_head', new Linear(dModel, 2));
    const still = { init: { kind: 'zeros' }, biasInit: { kind: 'zeros' } } as const;
    this.pointMoves = this.children(
      'decoder.refine_head',
      Array.from({ length: decoderLayers }, () => new Linear(dModel, 2, still)),
    );
    // A token for the whole that nothing uses: the mean over the image takes its place.
    if (options.pooled)
      this.parameter('CLS.weight', { shape: [1, dModel], init: { kind: 'normal', std: 1 } });
  }

  forward(input: TransformerInput): TransformerOutput {
    const first = levelSequence(input.maps, input.pixelMask, this.levelEmbed, SINE);
    const points = byLevel(this.centres(first), first);
    let image = first;
    const seen: tf.Tensor[] = [];
    const encoded: tf.Tensor[] = [];
    for (const layer of this.encoderLayers) {
      const next = layer.forward(image, points);
      seen.push(next.seen);
      encoded.push(next.tokens);
      image = { ...image, tokens: next.tokens };
    }
    const resized = this.resizer.forward(input.text) as tf.Tensor3D;
    const [batch, , channels] = image.tokens.shape;
    return {
      hidden: this.decode(input, image, resized),
      words: resized,
      picture: this.options.pooled ? meanToken(image) : null,
      intermediates: {
        text_memory_resized: resized,
        ...numbered('encoder', encoded),
        img_memory: image.tokens,
        encoder_reference_points: points,
        encoder_attn: seen[0] ?? tf.zeros([batch, 0, channels]),
        valid_ratios: image.validRatios ?? tf.ones([batch, this.levels, 2]),
      },
    };
  }

  /** Centres of all tokens, of the padded maps: `[batch, S, 2]`. */
  private centres({ tokens, spatialShapes }: LevelSequence): tf.Tensor {
    const [batch, length] = tokens.shape;
    return tf.tile(tf.tensor(tokenCentres(spatialShapes), [1, length, 2]), [batch, 1, 1]);
  }

  private decode(
    { queries, textMask }: TransformerInput,
    image: LevelSequence,
    text: tf.Tensor,
  ): tf.Tensor3D[] {
    const position = tf.tile(tf.expandDims(queries, 0), [image.tokens.shape[0], 1, 1]);
    const words = { tokens: text, bias: keyPaddingBias(textMask) };
    let points = inside(tf.sigmoid(this.firstPoints.forward(position)));
    let x: tf.Tensor = tf.zerosLike(position);
    return this.decoderLayers.map((layer, i) => {
      const at = byLevel(points, image);
      x = layer.forward(x, position, (query) => lookAround(layer.image, query, at, image), words);
      points = inside(tf.sigmoid(tf.add(inverseSigmoid(points), this.pointMoves[i]!.forward(x))));
      return this.norm.forward(x) as tf.Tensor3D;
    });
  }
}

/** Mean over the real tokens: `[batch, C]`. */
function meanToken({ tokens, mask }: LevelSequence): tf.Tensor2D {
  if (!mask) return tf.mean(tokens, 1);
  const weights = tf.expandDims(mask, 2);
  return tf.div(tf.sum(tf.mul(tokens, weights), 1), tf.maximum(tf.sum(weights, 1), 1)) as tf.Tensor2D;
}
