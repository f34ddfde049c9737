// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { detach, noGrad } from '../../ops/index.js';
import { anchorLogits } from '../deformable_detr/index.js';
import type { LevelSequence, TextSequence } from '../deformable_encoder.js';
import { LayerNorm, Linear, MLP } from '../layers/basic.js';
import { Module } from '../module.js';
import type { GroundingDinoOptions } from './options.js';
import { TokenLogits } from './token_logits.js';

/** What the encoder proposes. */
export interface Selection {
  /** `[batch, S, tokens]`, minus infinity at padding. */
  logits: tf.Tensor3D;
  /** `[batch, Q, 4]` before the sigmoid, of the chosen tokens; infinite where a token proposes nothing. */
  boxLogits: tf.Tensor3D;
  /** The same of all tokens, `[batch, S, 4]`: only what is chosen is ever used. */
  allBoxLogits(): tf.Tensor3D;
  /** int32 `[batch, Q]`, the chosen tokens, best first. */
  chosen: tf.Tensor2D;
  /** `[batch, Q, 4]` in [0, 1], constants. */
  references: tf.Tensor3D;
}

/**
 * Language-guided query selection: every image token scores itself against the words and proposes a box; the best become
 * the decoder's first boxes. The owner registers `enc_output`, `enc_output_norm`, `encoder_output_bbox_embed` and
 * `encoder_output_class_embed`. Source: Liu et al. 2023, "Grounding DINO".
 */
export class QuerySelection extends Module {
  private readonly output: Linear;
  private readonly norm: LayerNorm;
  private readonly boxHead: MLP;
  readonly tokenLogits: TokenLogits;

  constructor(private readonly options: GroundingDinoOptions) {
    super();
    const { dModel } = options;
    const init = { kind: 'xavierUniform', fanIn: dModel, fanOut: dModel } as const;
    this.output = this.child('enc_output', new Linear(dModel, dModel, { init, biasInit: { kind: 'zeros' } }));
    this.norm = this.child('enc_output_norm', new LayerNorm(dModel));
    this.boxHead = this.child(
      'encoder_output_bbox_embed',
      new MLP(dModel, dModel, 4, 3, { bias: [0, 0, 0, 0] }),
    );
    this.tokenLogits = this.child('encoder_output_class_embed', new TokenLogits(options.logits));
  }

  forward(image: LevelSequence, text: TextSequence): Selection {
    const { usable, anchors } = noGrad(() => tf.tidy(() => anchorLogits(image)));
    const memory = this.norm.forward(this.output.forward(tf.mul(image.tokens, usable)));
    const logits = this.tokenLogits.forward(memory, text);
    const [batch, length] = image.tokens.shape;
    const count = Math.min(this.options.queries, length);
    const chosen = noGrad(() =>
      tf.tidy(() => tf.topk(tf.max(logits, 2), count, true).indices as tf.Tensor2D),
    );
    const rows = (x: tf.Tensor) => tf.gather(x, chosen, 1, 1);
    const chosenAnchors = noGrad(() => tf.tidy(() => rows(tf.broadcastTo(anchors, [batch, length, 4]))));
    const boxLogits = tf.add(this.boxHead.forward(rows(memory)), chosenAnchors) as tf.Tensor3D;
    const references = noGrad(() => tf.tidy(() => tf.sigmoid(detach(boxLogits)))) as tf.Tensor3D;
    const allBoxLogits = () => tf.add(this.boxHead.forward(memory), anchors) as tf.Tensor3D;
    return { logits, boxLogits, allBoxLogits, chosen, references };
  }
}
