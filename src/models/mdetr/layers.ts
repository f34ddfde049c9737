// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { MultiheadAttention } from '../layers/attention.js';
import { LayerNorm } from '../layers/basic.js';
import { FeedForward } from '../layers/feed_forward.js';
import { Module } from '../module.js';
import type { SoftTokenOptions } from './options.js';

type Sizes = Pick<SoftTokenOptions, 'dModel' | 'heads' | 'ffn'>;

/** Feed-forward layers under the names `linear1` and `linear2`. */
function feedForward(register: (name: string, module: Module) => void, { dModel, ffn }: Sizes): FeedForward {
  const layers = new FeedForward(dModel, ffn);
  register('linear1', layers.linear1);
  register('linear2', layers.linear2);
  return layers;
}

/** Tokens read each other, then feed-forward; a norm behind each. Source: Carion et al. 2020, "DETR". */
class EncoderLayer extends Module {
  private readonly attention: MultiheadAttention;
  private readonly norm1: LayerNorm;
  private readonly ffn: FeedForward;
  private readonly norm2: LayerNorm;

  constructor(sizes: Sizes) {
    super();
    const { dModel, heads } = sizes;
    this.attention = this.child('self_attn', new MultiheadAttention(dModel, heads));
    this.ffn = feedForward((name, module) => this.child(name, module), sizes);
    this.norm1 = this.child('norm1', new LayerNorm(dModel));
    this.norm2 = this.child('norm2', new LayerNorm(dModel));
  }

  forward(x: tf.Tensor, position: tf.Tensor, bias: tf.Tensor | null): tf.Tensor {
    const placed = tf.add(x, position);
    const y = this.norm1.forward(tf.add(x, this.attention.forward(placed, placed, x, bias)));
    return this.norm2.forward(tf.add(y, this.ffn.forward(y)));
  }
}

/** A stack of encoder layers, parameters `layers.N.*`. */
export class Encoder extends Module {
  private readonly layers: EncoderLayer[];

  constructor(sizes: Sizes, count: number) {
    super();
    const layers = Array.from({ length: count }, () => new EncoderLayer(sizes));
    this.layers = this.children('layers', layers);
  }

  /** @param tokens `[batch, N, C]` @param bias hides padding @returns the same after every layer; none: the tokens */
  forward(tokens: tf.Tensor, position: tf.Tensor, bias: tf.Tensor | null): tf.Tensor3D[] {
    let x = tokens;
    const states = this.layers.map((layer) => {
      x = layer.forward(x, position, bias);
      return x;
    });
    return (states.length > 0 ? states : [tokens]) as tf.Tensor3D[];
  }
}

/** What the parts of a decoder layer are called: they differ between the published transformers. */
export interface DecoderNames {
  image: string;
  imageNorm: string;
  finalNorm: string;
}

/** Text as queries read it. */
export interface Words {
  /** `[batch, T, C]` */
  tokens: tf.Tensor;
  /** Hides padding. */
  bias: tf.Tensor;
}

/**
 * Queries look at each other, at the image, at the words if they may, then feed-forward; a norm behind each.
 * How they look at the image is the owner's affair.
 */
export class DecoderLayer<A extends Module> extends Module {
  private readonly selfAttention: MultiheadAttention;
  private readonly selfNorm: LayerNorm;
  private readonly imageNorm: LayerNorm;
  private readonly textAttention: MultiheadAttention | null;
  private readonly textNorm: LayerNorm | null;
  private readonly ffn: FeedForward;
  private readonly finalNorm: LayerNorm;

  /** @param image attention to the image, registered under its name */
  constructor(
    sizes: Sizes,
    names: DecoderNames,
    readonly image: A,
    readsText: boolean,
  ) {
    super();
    const { dModel, heads } = sizes;
    this.selfAttention = this.child('self_attn', new MultiheadAttention(dModel, heads));
    this.child(names.image, image);
    this.textAttention = readsText
      ? this.child('cross_attn_txt', new MultiheadAttention(dModel, heads))
      : null;
    this.ffn = feedForward((name, module) => this.child(name, module), sizes);
    this.selfNorm = this.child('norm1', new LayerNorm(dModel));
    this.imageNorm = this.child(names.imageNorm, new LayerNorm(dModel));
    this.textNorm = readsText ? this.child('norm_txt', new LayerNorm(dModel)) : null;
    this.finalNorm = this.child(names.finalNorm, new LayerNorm(dModel));
  }

  /** @param look what queries, their positions added, see in the image */
  forward(
    x: tf.Tensor,
    position: tf.Tensor,
    look: (query: tf.Tensor) => tf.Tensor,
    words: Words | null,
  ): tf.Tensor {
    const query = tf.add(x, position);
    let y = this.selfNorm.forward(tf.add(x, this.selfAttention.forward(query, query, x)));
    y = this.imageNorm.forward(tf.add(y, look(tf.add(y, position))));
    if (this.textAttention && this.textNorm && words) {
      const read = this.textAttention.forward(tf.add(y, position), words.tokens, words.tokens, words.bias);
      y = this.textNorm.forward(tf.add(y, read));
    }
    return this.finalNorm.forward(tf.add(y, this.ffn.forward(y)));
  }
}
