// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Backbone } from '../backbones/index.js';
import { Embedding, Linear, MLP } from '../layers/basic.js';
import type { TransformerTextEncoder } from '../text/index.js';
import { SoftTokenDetector } from './detector.js';
import type { MdetrOptions } from './options.js';
import { type Answers, answerHeads, type QuestionSet } from './questions.js';
import { JointTransformer } from './transformer.js';

/** Temperature of the contrastive alignment. */
const TEMPERATURE = 0.07;

/** Queries for answers beside those for boxes, and a head for each. */
interface QuestionAnswering {
  queries: Embedding;
  heads: { output: string; head: Linear | MLP }[];
}

/**
 * MDETR: boxes for what a sentence says; image and text are one sequence in a full-attention transformer. Where it answers
 * questions, an answer has a query of its own, which the others see.
 *
 * Source: Kamath et al. 2021, "MDETR: Modulated Detection for End-to-End Multi-Modal Understanding",
 * https://github.com/ashkamath/mdetr. Without segmentation.
 */
export class Mdetr extends SoftTokenDetector<MdetrOptions> {
  private readonly answering: QuestionAnswering | null;
  private readonly finalHead: Linear | null;

  constructor(backbone: Backbone, textEncoder: TransformerTextEncoder, options: MdetrOptions) {
    super(backbone, textEncoder, options, new JointTransformer(options, textEncoder.hiddenSize));
    const { dModel, questions, final = false } = options;
    this.finalHead = final ? this.child('isfinal_embed', new Linear(dModel, 1)) : null;
    this.answering = questions === undefined ? null : this.answeringHeads(questions, dModel);
  }

  private answeringHeads(questions: QuestionSet, dModel: number): QuestionAnswering {
    const wanted = answerHeads(questions);
    const normal = { kind: 'normal', std: 1 } as const;
    return {
      queries: this.child('qa_embed', new Embedding(wanted.length, dModel, normal)),
      heads: wanted.map(({ inFile, output, choices, deep }) => ({
        output,
        head: this.child(inFile, deep ? new MLP(dModel, dModel, choices, 3) : new Linear(dModel, choices)),
      })),
    };
  }

  protected poolText(hidden: tf.Tensor3D): tf.Tensor2D {
    return this.textEncoder.pool(hidden);
  }

  protected scaleLogits(logits: tf.Tensor): tf.Tensor {
    return logits;
  }

  protected override askedQueries(): tf.Tensor2D | null {
    return (this.answering?.queries.weight as tf.Tensor | undefined as tf.Tensor2D | undefined) ?? null;
  }

  protected override answer(asked: tf.Tensor3D): Answers {
    const [batch, , channels] = asked.shape;
    const rows = this.answering?.heads.map(({ output, head }, i) => {
      const query = tf.slice(asked, [0, i, 0], [batch, 1, channels]).reshape([batch, channels]);
      return [output, head.forward(query) as tf.Tensor2D] as const;
    });
    return Object.fromEntries(rows ?? []);
  }

  protected override finality(hidden: tf.Tensor3D): tf.Tensor3D | null {
    return (this.finalHead?.forward(hidden) as tf.Tensor3D | undefined) ?? null;
  }

  tau(): tf.Scalar {
    return tf.scalar(TEMPERATURE);
  }
}
