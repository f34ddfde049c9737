// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import { MASKED } from '../layers/attention.js';
import { Embedding, gelu, LayerNorm, Linear, linear } from '../layers/basic.js';
import { dropout } from '../layers/dropout.js';
import { Module } from '../module.js';
import { ROBERTA_DEFAULTS, type RobertaConfig } from './roberta_config.js';
import type { TextEncoder, TextEncoderOptions, TextFeatures } from './text_encoder.js';

/** Activations by Hugging Face's names. */
const ACTIVATIONS: Readonly<Record<string, (x: tf.Tensor) => tf.Tensor>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu: (x) => tf.relu(x),
  silu: (x) => tf.mul(x, tf.sigmoid(x)),
};

/**
 * RoBERTa's encoder (Liu et al. 2019). Parameters have the names of published weight files: `embeddings.*`,
 * `encoder.layer.N.*`, `pooler.dense.*`.
 *
 * Positions count the tokens that are not padding, found by their ids, whatever the mask says.
 */
export class RobertaEncoder extends Module implements TextEncoder {
  readonly config: RobertaConfig;
  readonly hiddenSize: number;
  readonly maxTokens: number;
  readonly padId: number;
  private readonly embeddings: RobertaEmbeddings;
  private readonly layers: RobertaLayer[];
  private readonly pooler: Linear | null;

  constructor(config: Partial<RobertaConfig> = {}) {
    super();
    this.config = { ...ROBERTA_DEFAULTS, ...config };
    const { hidden_size, num_attention_heads, num_hidden_layers, pad_token_id } = this.config;
    if (hidden_size % num_attention_heads !== 0) {
      throw new RangeError(
        `[RobertaEncoder] expected hidden_size divisible by num_attention_heads but received ${hidden_size} and ${num_attention_heads}`,
      );
    }
    this.hiddenSize = hidden_size;
    this.padId = pad_token_id;
    this.maxTokens = this.config.max_position_embeddings - pad_token_id - 1;
    this.embeddings = this.child('embeddings', new RobertaEmbeddings(this.config));
    this.layers = this.children(
      'encoder.layer',
      Array.from({ length: num_hidden_layers }, () => new RobertaLayer(this.config)),
    );
    this.pooler = this.config.add_pooling_layer
      ? this.child('pooler.dense', dense(hidden_size, hidden_size, this.config))
      : null;
  }

  forward(ids: tf.Tensor2D, mask: tf.Tensor | null, options: TextEncoderOptions = {}): TextFeatures {
    const tokens = ids.shape[1];
    if (tokens > this.maxTokens) {
      throw new RangeError(
        `[RobertaEncoder] expected at most ${this.maxTokens} tokens for ids but received ${tokens}`,
      );
    }
    const random = options.training === false ? null : (options.random ?? null);
    const bias = mask ? attentionBias(mask) : null;
    const states = [this.embeddings.forward(ids, random)];
    for (const layer of this.layers) states.push(layer.forward(states.at(-1)!, bias, random));
    return { hidden: states.at(-1)!, hiddenStates: states };
  }

  encode(ids: tf.Tensor2D, mask: tf.Tensor | null, options: TextEncoderOptions = {}): tf.Tensor3D {
    return this.forward(ids, mask, options).hidden;
  }

  /** `tanh(dense(first token))`. @param hidden `[batch, tokens, C]` @returns `[batch, C]` */
  pool(hidden: tf.Tensor3D): tf.Tensor2D {
    if (!this.pooler) throw new Error('[RobertaEncoder] expected a pooler but this encoder was made without');
    const [batch, , channels] = hidden.shape;
    const first = tf.slice(hidden, [0, 0, 0], [batch, 1, channels]).reshape([batch, channels]);
    return tf.tanh(this.pooler.forward(first)) as tf.Tensor2D;
  }
}

/**
 * `padId + number of tokens so far` for tokens, `padId` for padding.
 * @param ids int32 `[batch, tokens]` @returns int32 `[batch, tokens]`
 */
export function positionIds(ids: tf.Tensor2D, padId: number): tf.Tensor2D {
  const real = tf.cast(tf.notEqual(ids, tf.scalar(padId, 'int32')), 'int32');
  return tf.add(tf.mul(tf.cumsum(real, 1), real), tf.scalar(padId, 'int32')) as tf.Tensor2D;
}

/** Score bias `[batch, 1, 1 or tokens, tokens]`. */
function attentionBias(mask: tf.Tensor): tf.Tensor4D {
  const [batch, tokens] = mask.shape as [number, number];
  const rows = mask.rank === 3 ? tokens : 1;
  return tf
    .mul(tf.sub(1, tf.cast(mask, 'float32')), MASKED)
    .reshape([batch, 1, rows, mask.shape[mask.rank - 1]!]);
}

/** Sum of word, position and type embeddings, normalised. */
class RobertaEmbeddings extends Module {
  private readonly words: Embedding;
  private readonly positions: Embedding;
  private readonly types: Embedding;
  private readonly norm: LayerNorm;
  private readonly padId: number;
  private readonly dropoutRate: number;

  constructor(config: RobertaConfig) {
    super();
    const table = (rows: number) =>
      new Embedding(rows, config.hidden_size, { kind: 'normal', std: config.initializer_range });
    this.words = this.child('word_embeddings', table(config.vocab_size));
    this.positions = this.child('position_embeddings', table(config.max_position_embeddings));
    this.types = this.child('token_type_embeddings', table(config.type_vocab_size));
    this.norm = this.child('LayerNorm', new LayerNorm(config.hidden_size, config.layer_norm_eps));
    this.padId = config.pad_token_id;
    this.dropoutRate = config.hidden_dropout_prob;
  }

  /** @returns `[batch, tokens, C]` */
  forward(ids: tf.Tensor2D, random: RandomStream | null): tf.Tensor3D {
    const positions = positionIds(ids, this.padId);
    const looked = tf.add(this.words.forward(ids), this.positions.forward(positions));
    // Padding has the same place in both tables, and its rows are not learned (PyTorch's padding_idx).
    const real = tf.cast(tf.notEqual(ids, tf.scalar(this.padId, 'int32')), 'float32').expandDims(-1);
    const type = tf.slice(this.types.weight, [0, 0], [1, this.types.features]);
    const sum = tf.add(withGradientWhere(looked, real), type);
    return dropout(this.norm.forward(sum), this.dropoutRate, random) as tf.Tensor3D;
  }
}

/** `x`, through which gradients pass only where `mask` is 1. @param x `[batch, tokens, C]` @param mask `[batch, tokens, 1]` */
function withGradientWhere(x: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const op = tf.customGrad((value, where, save) => {
    (save as tf.GradSaveFunc)([where as tf.Tensor]);
    return {
      value: tf.reshape(value as tf.Tensor, (value as tf.Tensor).shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => [tf.mul(dy, saved[0]!), tf.zerosLike(saved[0]!)],
    };
  });
  return op(x, mask);
}

/** Self-attention and feed-forward, each added to its input and normalised. */
class RobertaLayer extends Module {
  private readonly query: Linear;
  private readonly key: Linear;
  private readonly value: Linear;
  private readonly attended: Linear;
  private readonly attendedNorm: LayerNorm;
  private readonly intermediate: Linear;
  private readonly output: Linear;
  private readonly outputNorm: LayerNorm;
  private readonly activation: (x: tf.Tensor) => tf.Tensor;

  constructor(private readonly config: RobertaConfig) {
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
    const activation = ACTIVATIONS[config.hidden_act];
    if (!activation) {
      throw new RangeError(
        `[RobertaEncoder] expected one of ${Object.keys(ACTIVATIONS).join(', ')} for hidden_act but received '${config.hidden_act}'`,
      );
    }
    this.activation = activation;
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
    const packed = linear(x, weight, biases).reshape([batch, tokens, 3, heads, dim]);
    const [q, k, v] = tf.unstack(tf.transpose(packed, [2, 0, 3, 1, 4])) as [tf.Tensor, tf.Tensor, tf.Tensor];
    let scores = tf.matMul(tf.mul(q, 1 / Math.sqrt(dim)), k, false, true); // [batch, heads, tokens, tokens]
    if (bias) scores = tf.add(scores, bias);
    const probabilities = dropout(tf.softmax(scores), rate, random);
    const attended = tf.matMul(probabilities, v); // [batch, heads, tokens, dim]
    return tf.transpose(attended, [0, 2, 1, 3]).reshape([batch, tokens, channels]);
  }
}

function dense(inFeatures: number, outFeatures: number, config: RobertaConfig): Linear {
  return new Linear(inFeatures, outFeatures, {
    init: { kind: 'normal', std: config.initializer_range },
    biasInit: { kind: 'zeros' },
  });
}

/** GELU by tanh. Source: Hendrycks and Gimpel 2016. */
function geluTanh(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}
