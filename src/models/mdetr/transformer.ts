// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { keyPaddingBias, MultiheadAttention } from '../layers/attention.js';
import { LayerNorm } from '../layers/basic.js';
import { TextResizer } from '../layers/text_resizer.js';
import { levelSequence } from '../level_sequence.js';
import { Module } from '../module.js';
import { numbered } from '../stages.js';
import { DecoderLayer, type DecoderNames, Encoder, type Words } from './layers.js';
import type { SoftTokenOptions } from './options.js';

/** MDETR counts pixels from their outer edge. */
export const SINE = { offset: 0 } as const;

/** What a transformer is given. */
export interface TransformerInput {
  /** `[batch, H, W, C]`, projected, finest first. */
  maps: readonly tf.Tensor4D[];
  /** `[batch, H, W]` of the picture, 1 = real, or null. */
  pixelMask: tf.Tensor3D | null;
  /** `[batch, T, hidden]`, what the text encoder gives. */
  text: tf.Tensor3D;
  /** `[batch, T]`, 1 = real. */
  textMask: tf.Tensor2D;
  /** `[queries, C]` */
  queries: tf.Tensor2D;
}

export interface TransformerOutput {
  /** `[batch, Q, C]` after each decoder layer, normalised. */
  hidden: tf.Tensor3D[];
  /** `[batch, T, C]`, tokens that queries are compared with. */
  words: tf.Tensor3D;
  /** `[batch, C]`, the picture as a whole; null where that is not asked for. */
  picture: tf.Tensor2D | null;
  /** Named inner values. */
  intermediates: Record<string, tf.Tensor>;
}

/** A transformer between projected maps and text on one side and queries on the other. */
export interface SoftTokenTransformer extends Module {
  /** Maps that it takes, the backbone's last ones. */
  readonly levels: number;
  forward(input: TransformerInput): TransformerOutput;
}

/** Everything queries may look at, with the positions of its tokens. */
interface Memory {
  /** `[batch, N, C]` */
  tokens: tf.Tensor3D;
  position: tf.Tensor;
  bias: tf.Tensor | null;
}

/** What the two transformers with full attention share: stacks of layers over one map, with a token for the whole if wanted. */
abstract class FullTransformer extends Module implements SoftTokenTransformer {
  readonly levels = 1;
  protected readonly resizer: TextResizer;
  protected readonly encoder: Encoder;
  private readonly layers: DecoderLayer<MultiheadAttention>[];
  private readonly norm: LayerNorm;
  private readonly whole: tf.Variable | null;

  constructor(
    protected readonly options: SoftTokenOptions,
    names: DecoderNames,
    readsText: boolean,
    resizer: TextResizer,
  ) {
    super();
    const { dModel, heads, encoderLayers, decoderLayers, pooled } = options;
    this.resizer = this.child('resizer', resizer);
    this.encoder = this.child('encoder', new Encoder(options, encoderLayers));
    const attention = () => new MultiheadAttention(dModel, heads);
    this.layers = this.children(
      'decoder.layers',
      Array.from({ length: decoderLayers }, () => new DecoderLayer(options, names, attention(), readsText)),
    );
    this.norm = this.child('decoder.norm', new LayerNorm(dModel));
    this.whole = pooled
      ? this.parameter('CLS.weight', { shape: [1, dModel], init: { kind: 'normal', std: 1 } })
      : null;
  }

  abstract forward(input: TransformerInput): TransformerOutput;

  /** The map as tokens, the one for the whole first; mask 1 = real, null where nothing is padded. */
  protected imageTokens({ maps, pixelMask }: TransformerInput): {
    tokens: tf.Tensor3D;
    position: tf.Tensor;
    mask: tf.Tensor2D | null;
  } {
    const { tokens, position, mask } = levelSequence(maps.slice(-1), pixelMask, null, SINE);
    const [batch, , channels] = tokens.shape;
    const placed = position.shape[0] === batch ? position : tf.tile(position, [batch, 1, 1]);
    if (!this.whole) return { tokens, position: placed, mask };
    const first = tf.tile(tf.expandDims(this.whole, 0), [batch, 1, 1]);
    return {
      tokens: tf.concat([first, tokens], 1) as tf.Tensor3D,
      position: tf.concat([tf.zeros([batch, 1, channels]), placed], 1),
      mask: mask && (tf.concat([tf.ones([batch, 1]), mask], 1) as tf.Tensor2D),
    };
  }

  /** Queries through all layers. */
  protected decode(queries: tf.Tensor2D, memory: Memory, words: Words | null): tf.Tensor3D[] {
    const batch = memory.tokens.shape[0];
    const position = tf.tile(tf.expandDims(queries, 0), [batch, 1, 1]);
    const keys = tf.add(memory.tokens, memory.position);
    let x: tf.Tensor = tf.zerosLike(position);
    return this.layers.map((layer) => {
      const look = (query: tf.Tensor) => layer.image.forward(query, keys, memory.tokens, memory.bias);
      x = layer.forward(x, position, look, words);
      return this.norm.forward(x) as tf.Tensor3D;
    });
  }

  /** The token for the whole. @param tokens `[batch, N, C]` */
  protected pooledPicture(tokens: tf.Tensor3D): tf.Tensor2D | null {
    if (!this.whole) return null;
    const [batch, , channels] = tokens.shape;
    return tf.slice(tokens, [0, 0, 0], [-1, 1, -1]).reshape([batch, channels]);
  }
}

/**
 * MDETR's transformer: image and text are one sequence, which the encoder mixes and the queries look at.
 * Source: Kamath et al. 2021, "MDETR", https://github.com/ashkamath/mdetr.
 */
export class JointTransformer extends FullTransformer {
  constructor(options: SoftTokenOptions, textHidden: number) {
    const names = { image: 'cross_attn_image', imageNorm: 'norm3', finalNorm: 'norm4' };
    super(options, names, false, new TextResizer(textHidden, options.dModel));
  }

  forward(input: TransformerInput): TransformerOutput {
    const image = this.imageTokens(input);
    const resized = this.resizer.forward(input.text) as tf.Tensor3D;
    const [batch, length] = image.tokens.shape;
    const tokens = tf.concat([image.tokens, resized], 1);
    const position = tf.concat([image.position, tf.zerosLike(resized)], 1);
    const mask = tf.concat([image.mask ?? tf.ones([batch, length]), input.textMask], 1);
    const bias = keyPaddingBias(mask);
    const encoded = this.encoder.forward(tokens, position, bias);
    const memory = encoded.at(-1)!;
    return {
      hidden: this.decode(input.queries, { tokens: memory, position, bias }, null),
      words: tf.slice(memory, [0, length, 0], [-1, -1, -1]),
      picture: this.pooledPicture(memory),
      intermediates: {
        text_memory_resized: resized,
        ...numbered('encoder', encoded),
        img_memory: memory,
        pos_embed: position,
        mask,
      },
    };
  }
}

/**
 * MDETR-G's transformer for one feature map: only the image goes through the encoder, and queries may read the text.
 * Source: https://github.com/DarkSideii/mdetr_g.
 */
export class VanillaTransformer extends FullTransformer {
  constructor(options: SoftTokenOptions, textHidden: number, readsText: boolean) {
    const names = { image: 'cross_attn_img', imageNorm: 'norm2', finalNorm: 'norm3' };
    super(options, names, readsText, new TextResizer(textHidden, options.dModel, 'ln'));
  }

  forward(input: TransformerInput): TransformerOutput {
    const { tokens, position, mask } = this.imageTokens(input);
    const resized = this.resizer.forward(input.text) as tf.Tensor3D;
    const bias = mask ? keyPaddingBias(mask) : null;
    const encoded = this.encoder.forward(tokens, position, bias);
    const memory = encoded.at(-1)!;
    const words = { tokens: resized, bias: keyPaddingBias(input.textMask) };
    return {
      hidden: this.decode(input.queries, { tokens: memory, position, bias }, words),
      words: resized,
      picture: this.pooledPicture(memory),
      intermediates: { text_memory_resized: resized, ...numbered('encoder', encoded), img_memory: memory },
    };
  }
}
