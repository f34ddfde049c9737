// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import type { TextSequence } from '../deformable_encoder.js';
import { keyPaddingBias } from '../layers/attention.js';
import { LayerNorm, Linear } from '../layers/basic.js';
import { keptScale } from '../layers/dropout.js';
import { Module } from '../module.js';

/** Share of what is told that is added at first. */
const FIRST_SCALE = 1e-4;

/** Image and text tokens with masks, 1 = real; null = all are. */
export interface FusionInput {
  /** `[batch, S, C]` */
  image: tf.Tensor3D;
  imageMask: tf.Tensor2D | null;
  text: TextSequence;
}

/**
 * Image and text tell each other, through one set of scores. Parameters `vision_proj`, `text_proj`, `values_vision_proj`,
 * `values_text_proj`, `out_vision_proj`, `out_text_proj`. Source: Li et al. 2022 (GLIP), as in Grounding DINO.
 *
 * A picture has thousands of tokens and a text few. The projections of image tokens are therefore carried over to the
 * text's side of every product, where that is less work: the same values by associativity.
 */
class BiAttention extends Module {
  private readonly visionProj: Linear;
  private readonly textProj: Linear;
  private readonly valuesVision: Linear;
  private readonly valuesText: Linear;
  private readonly outVision: Linear;
  private readonly outText: Linear;

  constructor(
    private readonly dModel: number,
    private readonly inner: number,
    private readonly heads: number,
  ) {
    super();
    if (inner % heads !== 0) {
      throw new RangeError(
        `[BiAttention] expected an inner width divisible by heads but received ${inner} and ${heads}`,
      );
    }
    const linear = (fanIn: number, fanOut: number) =>
      new Linear(fanIn, fanOut, {
        init: { kind: 'xavierUniform', fanIn, fanOut },
        biasInit: { kind: 'zeros' },
      });
    this.visionProj = this.child('vision_proj', linear(dModel, inner));
    this.textProj = this.child('text_proj', linear(dModel, inner));
    this.valuesVision = this.child('values_vision_proj', linear(dModel, inner));
    this.valuesText = this.child('values_text_proj', linear(dModel, inner));
    this.outVision = this.child('out_vision_proj', linear(inner, dModel));
    this.outText = this.child('out_text_proj', linear(inner, dModel));
  }

  /** What each side is told: `[batch, S, C]` and `[batch, T, C]`. */
  forward({ image, imageMask, text }: FusionInput): Told {
    const scale = 1 / Math.sqrt(this.inner / this.heads);
    const keys = tf.mul(this.textProj.forward(text.tokens), scale);
    const values = this.valuesText.forward(text.tokens);
    const bias = {
      image: imageMask ? keyPaddingBias(imageMask) : null,
      text: keyPaddingBias(text.mask),
    };
    return this.heads * text.tokens.shape[1] < this.inner
      ? this.attendByText(image, keys, values, bias)
      : this.attendByHead(image, keys, values, bias);
  }

  /** As the formulas are written. @param keys `[batch, T, inner]`, scaled @param values `[batch, T, inner]` */
  private attendByHead(image: tf.Tensor3D, keys: tf.Tensor, values: tf.Tensor, bias: Biases): Told {
    const queries = this.byHead(this.visionProj.forward(image)); // [batch, heads, S, D]
    const imageValues = this.byHead(this.valuesVision.forward(image));
    const scores = tf.matMul(queries, this.byHead(keys), false, true); // [batch, heads, S, T]
    const toImage = softmax(scores, bias.text);
    const toText = softmax(tf.transpose(scores, [0, 1, 3, 2]), bias.image);
    return {
      image: this.outVision.forward(this.together(tf.matMul(toImage, this.byHead(values)))),
      text: this.outText.forward(this.together(tf.matMul(toText, imageValues))),
    };
  }

  /** With the projections of image tokens on the text's side. */
  private attendByText(image: tf.Tensor3D, keys: tf.Tensor, values: tf.Tensor, bias: Biases): Told {
    const { heads, inner, dModel } = this;
    const [batch, length] = image.shape;
    const tokens = keys.shape[1]!;
    const dim = inner / heads;
    const ofHead = (weight: tf.Tensor) => weight.reshape([heads, dim, dModel]);
    const ownKeys = this.headFirst(keys);
    const readers = this.beside(tf.matMul(ownKeys, ofHead(this.visionProj.weight)), batch); // [batch, heads * T, C]
    const shift = tf.sum(tf.mul(ownKeys, this.visionProj.bias!.reshape([heads, 1, dim])), 2, true);
    const product = tf.matMul(image, readers, false, true); // [batch, S, heads * T]
    const scores = tf.add(product, this.beside(shift, batch).reshape([batch, 1, heads * tokens]));
    const told = softmax(scores.reshape([batch, length, heads, tokens]), bias.text);
    const outs = ofHead(tf.transpose(this.outVision.weight));
    const writers = this.beside(tf.matMul(this.headFirst(values), outs), batch);
    const byText = tf.transpose(scores, [0, 2, 1]).reshape([batch, heads, tokens, length]);
    const read = softmax(byText, bias.image).reshape([batch, heads * tokens, length]);
    const seen = this.apart(tf.matMul(read, image), tokens); // [heads, batch * T, C]
    const looked = tf.add(
      tf.matMul(seen, ofHead(this.valuesVision.weight), false, true),
      this.valuesVision.bias!.reshape([heads, 1, dim]),
    );
    const written = tf.matMul(told.reshape([batch, length, heads * tokens]), writers);
    const gathered = tf.transpose(looked, [1, 0, 2]).reshape([batch, tokens, inner]);
    return { image: tf.add(written, this.outVision.bias!), text: this.outText.forward(gathered) };
  }

  /** `[batch, N, heads * D]` -> `[batch, heads, N, D]` */
  private byHead(x: tf.Tensor): tf.Tensor {
    const [batch, length] = x.shape as [number, number];
    return tf.transpose(x.reshape([batch, length, this.heads, this.inner / this.heads]), [0, 2, 1, 3]);
  }

  /** The reverse. */
  private together(x: tf.Tensor): tf.Tensor {
    const [batch, , length] = x.shape as [number, number, number];
    return tf.transpose(x, [0, 2, 1, 3]).reshape([batch, length, this.inner]);
  }

  /** `[batch, T, heads * D]` -> `[heads, batch * T, D]`: one product for each head's own weights. */
  private headFirst(x: tf.Tensor): tf.Tensor {
    const { heads, inner } = this;
    return tf.transpose(x.reshape([x.size / inner, heads, inner / heads]), [1, 0, 2]);
  }

  /** `[heads, batch * T, n]` -> `[batch, heads * T, n]` */
  private beside(x: tf.Tensor, batch: number): tf.Tensor {
    const [heads, rows, width] = x.shape as [number, number, number];
    const tokens = rows / batch;
    return tf
      .transpose(x.reshape([heads, batch, tokens, width]), [1, 0, 2, 3])
      .reshape([batch, heads * tokens, width]);
  }

  /** The reverse. */
  private apart(x: tf.Tensor, tokens: number): tf.Tensor {
    const [batch, rows, width] = x.shape as [number, number, number];
    const heads = rows / tokens;
    return tf
      .transpose(x.reshape([batch, heads, tokens, width]), [1, 0, 2, 3])
      .reshape([heads, batch * tokens, width]);
  }
}

/** Score biases that hide padding, `[batch, 1, 1, N]`. */
interface Biases {
  image: tf.Tensor | null;
  text: tf.Tensor;
}

interface Told {
  image: tf.Tensor;
  text: tf.Tensor;
}

function softmax(scores: tf.Tensor, bias: tf.Tensor | null): tf.Tensor {
  return tf.softmax(bias ? tf.add(scores, bias) : scores);
}

/**
 * Fusion of image and text in an encoder layer: both are normalised, then each is given a share of what the other tells
 * it. Parameters `layer_norm_vision`, `layer_norm_text`, `attn.*`, `vision_param`, `text_param`.
 */
export class FusionLayer extends Module {
  private readonly visionNorm: LayerNorm;
  private readonly textNorm: LayerNorm;
  private readonly attention: BiAttention;
  private readonly visionScale: tf.Variable;
  private readonly textScale: tf.Variable;

  constructor(
    dModel: number,
    inner: number,
    heads: number,
    private readonly dropPath: number,
  ) {
    super();
    const scale = { shape: [dModel], init: { kind: 'constant', value: FIRST_SCALE } } as const;
    this.visionScale = this.parameter('vision_param', { ...scale, shape: [...scale.shape] });
    this.textScale = this.parameter('text_param', { ...scale, shape: [...scale.shape] });
    this.visionNorm = this.child('layer_norm_vision', new LayerNorm(dModel));
    this.textNorm = this.child('layer_norm_text', new LayerNorm(dModel));
    this.attention = this.child('attn', new BiAttention(dModel, inner, heads));
  }

  /** @param random draws which pictures of the batch are told nothing; null = all are */
  forward(input: FusionInput, random: RandomStream | null): { image: tf.Tensor3D; text: tf.Tensor3D } {
    const image = this.visionNorm.forward(input.image) as tf.Tensor3D;
    const text = this.textNorm.forward(input.text.tokens) as tf.Tensor3D;
    const told = this.attention.forward({ ...input, image, text: { ...input.text, tokens: text } });
    return {
      image: tf.add(image, this.drop(tf.mul(told.image, this.visionScale), random)) as tf.Tensor3D,
      text: tf.add(text, this.drop(tf.mul(told.text, this.textScale), random)) as tf.Tensor3D,
    };
  }

  private drop(x: tf.Tensor, random: RandomStream | null): tf.Tensor {
    if (random === null || this.dropPath === 0) return x;
    return tf.mul(x, keptScale([x.shape[0]!, 1, 1], this.dropPath, random));
  }
}
