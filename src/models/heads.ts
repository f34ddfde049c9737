// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Linear } from './layers/basic.js';
import { Module } from './module.js';

/** Scales of logits are learned as logarithms and held below this, as MDETR-G holds them. */
const MAX_SCALE = 100;

/** `exp(log scale)`, at most 100. */
function scaleOf(logScale: tf.Tensor): tf.Tensor {
  return tf.minimum(tf.exp(logScale), MAX_SCALE);
}

/**
 * One logit for each pair of query and text token: `(W_q q) . (W_t t) * exp(s) / sqrt(hdim) + b`.
 * Trained with a sigmoid, so a query may answer to any number of tokens and to none. Parameters `query_proj`,
 * `token_proj`, `log_scale`, `bias`. Source: the form of MM-Grounding-DINO's head with a learned scale.
 */
export class TokenSigmoidHead extends Module {
  private readonly queryProj: Linear;
  private readonly tokenProj: Linear;
  private readonly logScale: tf.Variable;
  private readonly bias: tf.Variable;

  constructor(
    dModel: number,
    private readonly hdim: number,
  ) {
    super();
    this.queryProj = this.child('query_proj', new Linear(dModel, hdim));
    this.tokenProj = this.child('token_proj', new Linear(dModel, hdim));
    this.logScale = this.parameter('log_scale', { shape: [1], init: { kind: 'zeros' } });
    // Few pairs are positive: start near a probability of 2 %.
    this.bias = this.parameter('bias', { shape: [1], init: { kind: 'constant', value: -4 } });
  }

  /**
   * @param queries `[batch, Q, C]`; several layers may be stacked along Q
   * @param tokens `[batch, T, C]`
   * @returns `[batch, Q, T]`
   */
  forward(queries: tf.Tensor, tokens: tf.Tensor): tf.Tensor3D {
    const q = this.queryProj.forward(queries);
    const scale = tf.div(scaleOf(this.logScale), Math.sqrt(this.hdim));
    const t = tf.mul(this.tokenProj.forward(tokens), scale);
    return tf.add(tf.matMul(q, t, false, true), this.bias) as tf.Tensor3D;
  }
}

/**
 * MDETR's soft-token classifier: one logit for each of `slots` token positions, the last of which means "no object".
 * Parameters `class_embed.{weight,bias}` and, if the scale is learned as in MDETR-G, `cls_logit_scale`.
 */
export class SoftTokenHead extends Module {
  private readonly classEmbed: Linear;
  private readonly logScale: tf.Variable | null;

  constructor(dModel: number, slots: number, learnScale: boolean) {
    super();
    this.classEmbed = this.child('class_embed', new Linear(dModel, slots));
    this.logScale = learnScale
      ? this.parameter('cls_logit_scale', {
          shape: [],
          init: { kind: 'constant', value: Math.log(1 / 0.07) },
        })
      : null;
  }

  /** @param queries `[batch, Q, C]` @returns `[batch, Q, slots]` */
  forward(queries: tf.Tensor): tf.Tensor3D {
    const logits = this.classEmbed.forward(queries);
    return (this.logScale ? tf.mul(logits, scaleOf(this.logScale)) : logits) as tf.Tensor3D;
  }
}

/**
 * Contrastive alignment of queries and tokens: unit vectors in a common space, and a learned temperature.
 * Parameters `contrastive_align_projection_image`, `contrastive_align_projection_text`, `align_logit_scale`
 * (`tau = 1 / min(exp(scale), 100)`, 0.07 at the start). Source: MDETR (Kamath et al. 2021); learned tau: MDETR-G.
 */
export class ContrastiveAlignHead extends Module {
  private readonly image: Linear;
  private readonly text: Linear;
  private readonly logScale: tf.Variable;

  constructor(dModel: number, hdim: number) {
    super();
    this.image = this.child('contrastive_align_projection_image', new Linear(dModel, hdim));
    this.text = this.child('contrastive_align_projection_text', new Linear(dModel, hdim));
    this.logScale = this.parameter('align_logit_scale', {
      shape: [],
      init: { kind: 'constant', value: Math.log(1 / 0.07) },
    });
  }

  /** @param hidden `[batch, Q, C]` @returns unit vectors `[batch, Q, hdim]` */
  queries(hidden: tf.Tensor): tf.Tensor3D {
    return unit(this.image.forward(hidden)) as tf.Tensor3D;
  }

  /** @param text `[batch, T, C]` @returns unit vectors `[batch, T, hdim]` */
  tokens(text: tf.Tensor): tf.Tensor3D {
    return unit(this.text.forward(text)) as tf.Tensor3D;
  }

  /** Scalar temperature. */
  tau(): tf.Scalar {
    return tf.div(1, scaleOf(this.logScale)) as tf.Scalar;
  }
}

/** Vectors of length one along the last axis (PyTorch's `F.normalize`). */
function unit(x: tf.Tensor): tf.Tensor {
  return tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), -1, true)), 1e-12));
}
