// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { RandomStream } from '../../ops/index.js';
import { MASKED } from '../layers/attention.js';
import { Embedding, LayerNorm, type Linear } from '../layers/basic.js';
import { dropout } from '../layers/dropout.js';
import { Module } from '../module.js';
import type { TextEncoderConfig } from './encoder_config.js';
import type { TextEncoder, TextEncoderOptions, TextFeatures } from './text_encoder.js';
import { dense, TransformerLayer } from './transformer_layer.js';

/**
 * What BERT and RoBERTa share: everything but where a token stands. Parameters have the names of published weight files:
 * `embeddings.*`, `encoder.layer.N.*`, `pooler.dense.*`.
 */
export abstract class TransformerTextEncoder extends Module implements TextEncoder {
  readonly hiddenSize: number;
  abstract readonly maxTokens: number;
  readonly padId: number;
  private readonly embeddings: Embeddings;
  private readonly layers: TransformerLayer[];
  private readonly pooler: Linear | null;

  /** @param padHasPosition the row of the position table at `pad_token_id` stands for padding and is not learned */
  constructor(
    readonly config: TextEncoderConfig,
    private readonly what: string,
    padHasPosition: boolean,
  ) {
    super();
    const { hidden_size, num_attention_heads, num_hidden_layers, pad_token_id } = config;
    if (hidden_size % num_attention_heads !== 0) {
      throw new RangeError(
        `[${what}] expected hidden_size divisible by num_attention_heads but received ${hidden_size} and ${num_attention_heads}`,
      );
    }
    this.hiddenSize = hidden_size;
    this.padId = pad_token_id;
    this.embeddings = this.child('embeddings', new Embeddings(config, padHasPosition));
    this.layers = this.children(
      'encoder.layer',
      Array.from({ length: num_hidden_layers }, () => new TransformerLayer(config)),
    );
    this.pooler = config.add_pooling_layer
      ? this.child('pooler.dense', dense(hidden_size, hidden_size, config))
      : null;
  }

  /** Rows of the position table. @param ids int32 `[batch, tokens]` @returns int32, broadcast to the same shape */
  protected abstract positions(ids: tf.Tensor2D): tf.Tensor2D;

  forward(ids: tf.Tensor2D, mask: tf.Tensor | null, options: TextEncoderOptions = {}): TextFeatures {
    const tokens = ids.shape[1];
    if (tokens > this.maxTokens) {
      throw new RangeError(
        `[${this.what}] expected at most ${this.maxTokens} tokens for ids but received ${tokens}`,
      );
    }
    const random = options.training === false ? null : (options.random ?? null);
    const bias = mask ? attentionBias(mask) : null;
    const states = [this.embeddings.forward(ids, options.positions ?? this.positions(ids), random)];
    for (const layer of this.layers) states.push(layer.forward(states.at(-1)!, bias, random));
    states.forEach((state, i) => {
      options.taps?.set(i === 0 ? 'embeddings' : `layer.${i - 1}`, state);
    });
    return { hidden: states.at(-1)!, hiddenStates: states };
  }

  encode(ids: tf.Tensor2D, mask: tf.Tensor | null, options: TextEncoderOptions = {}): tf.Tensor3D {
    return this.forward(ids, mask, options).hidden;
  }

  /** `tanh(dense(first token))`. @param hidden `[batch, tokens, C]` @returns `[batch, C]` */
  pool(hidden: tf.Tensor3D): tf.Tensor2D {
    if (!this.pooler) throw new Error(`[${this.what}] expected a pooler but this encoder was made without`);
    const [batch, , channels] = hidden.shape;
    const first = tf.slice(hidden, [0, 0, 0], [batch, 1, channels]).reshape([batch, channels]);
    return tf.tanh(this.pooler.forward(first)) as tf.Tensor2D;
  }
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
class Embeddings extends Module {
  private readonly words: Embedding;
  private readonly places: Embedding;
  private readonly types: Embedding;
  private readonly norm: LayerNorm;

  constructor(
    private readonly config: TextEncoderConfig,
    private readonly padHasPosition: boolean,
  ) {
    super();
    const table = (rows: number) =>
      new Embedding(rows, config.hidden_size, { kind: 'normal', std: config.initializer_range });
    this.words = this.child('word_embeddings', table(config.vocab_size));
    this.places = this.child('position_embeddings', table(config.max_position_embeddings));
    const count = config.max_position_embeddings;
    this.table('position_ids', () => {
      return { shape: [1, count], data: BigInt64Array.from({ length: count }, (_, i) => BigInt(i)) };
    });
    this.types = this.child('token_type_embeddings', table(config.type_vocab_size));
    this.norm = this.child('LayerNorm', new LayerNorm(config.hidden_size, config.layer_norm_eps));
  }

  /** @returns `[batch, tokens, C]` */
  forward(ids: tf.Tensor2D, positions: tf.Tensor2D, random: RandomStream | null): tf.Tensor3D {
    const { pad_token_id: padId, hidden_dropout_prob: rate } = this.config;
    // Rows that stand for padding are not learned (PyTorch's padding_idx).
    const real = tf.cast(tf.notEqual(ids, tf.scalar(padId, 'int32')), 'float32').expandDims(-1);
    const words = this.words.forward(ids);
    const places = this.places.forward(positions);
    const looked = this.padHasPosition
      ? withGradientWhere(tf.add(words, places), real)
      : tf.add(withGradientWhere(words, real), places);
    const type = tf.slice(this.types.weight, [0, 0], [1, this.types.features]);
    return dropout(this.norm.forward(tf.add(looked, type)), rate, random) as tf.Tensor3D;
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
