// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { attention, type RandomStream } from '../../ops/index.js';
import { activation } from '../layers/activations.js';
import { LayerNorm, Linear, linear } from '../layers/basic.js';
import { dropout } from '../layers/dropout.js';
import { Module } from '../module.js';
import type { TextEncoderConfig } from './encoder_config.js';

/** Self-attention and feed-forward, each added to its input and normalised. Source: Devlin et al. 2019. */
export class TransformerLayer extends Module {
  private readonly query: Linear;
  private readonly key: Linear;
  private readonly value: Linear;
  private readonly attended: Linear;
  private readonly attendedNorm: LayerNorm;
  private readonly intermediate: Linear;
  private readonly output: Linear;
  private readonly outputNorm: LayerNorm;
  private readonly activation: (x: tf.Tensor) => tf.Tensor;

  constructor(private readonly config: TextEncoderConfig) {
    super();
    const { hidden_size: c, intermediate_size: wide, layer_norm_eps: eps } = config;
    this.query = this.child('attention.self.query', dense(c, c, config));
    this.key = this.child('attention.self.key', dense(c, c, config));
    this.value = this.child('attention.self.value', dense(c, c, config));
    this.attended = this.child('attention.output.dense', dense(c, c, config));
    this.attendedNorm = this.child('attention.output.LayerNorm', new LayerNorm(c, eps));
    this.intermediate = this.child('intermediate.dense', dense(c, wide, config));
    this.output = this.child('output.dense', dense(wide, c, config));
    this.outputNorm = this.child('output.LayerNorm', new LayerNorm(c, eps));
    this.activation = activation('TransformerLayer', config.hidden_act);
  }

  /** @param x `[batch, tokens, C]` @param bias added to the scores, broadcast to `[batch, heads, tokens, tokens]` */
  forward(x: tf.Tensor3D, bias: tf.Tensor4D | null, random: RandomStream | null): tf.Tensor3D {
    const drop = (y: tf.Tensor) => dropout(y, this.config.hidden_dropout_prob, random);
    const attention = drop(this.attended.forward(this.attend(x, bias, random)));
    const y = this.attendedNorm.forward(tf.add(x, attention));
    const mixed = drop(this.output.forward(this.activation(this.intermediate.forward(y))));
    return this.outputNorm.forward(tf.add(y, mixed)) as tf.Tensor3D;
  }

  /** Multi-head attention; query, key and value in one product. */
  private attend(x: tf.Tensor3D, bias: tf.Tensor4D | null, random: RandomStream | null): tf.Tensor {
    const [batch, tokens, channels] = x.shape;
    const { num_attention_heads: heads, attention_probs_dropout_prob: rate } = this.config;
    const dim = channels / heads;
    const parts = [this.query, this.key, this.value];
    const weight = tf.concat(parts.map((part) => part.weight as tf.Tensor2D));
    const biases = tf.concat(parts.map((part) => part.bias as tf.Tensor1D));
    const joined = linear(x, weight, biases);
    if (random === null || rate === 0) return attention('qkv', [joined], heads, { mask: bias });
    const packed = joined.reshape([batch, tokens, 3, heads, dim]);
    const [q, k, v] = tf.unstack(tf.transpose(packed, [2, 0, 3, 1, 4])) as [tf.Tensor, tf.Tensor, tf.Tensor];
    let scores = tf.matMul(tf.mul(q, 1 / Math.sqrt(dim)), k, false, true); // [batch, heads, tokens, tokens]
    if (bias) scores = tf.add(scores, bias);
    const probabilities = dropout(tf.softmax(scores), rate, random);
    const attended = tf.matMul(probabilities, v); // [batch, heads, tokens, dim]
    return tf.transpose(attended, [0, 2, 1, 3]).reshape([batch, tokens, channels]);
  }
}

/** A linear map with fresh weights as text encoders have them. */
export function dense(inFeatures: number, outFeatures: number, config: TextEncoderConfig): Linear {
  return new Linear(inFeatures, outFeatures, {
    init: { kind: 'normal', std: config.initializer_range },
    biasInit: { kind: 'zeros' },
  });
}

/** GELU by tanh. Source: Hendrycks and Gimpel 2016. */
