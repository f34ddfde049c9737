// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Compiled, compile } from '../../engine/index.js';
import type { Backbone } from '../backbones/index.js';
import { Conv2d, Linear, MLP } from '../layers/basic.js';
import { Module } from '../module.js';
import { Stages } from '../stages.js';
import type { TransformerTextEncoder } from '../text/index.js';
import type { AnswerRule, ForwardMode, Prediction, PromptRule, TextDetector } from '../text_detector.js';
import type { DetectorInput, DetectorOutput, LayerOutput, WordMask } from '../types.js';
import type { SoftTokenOptions } from './options.js';
import type { Answers } from './questions.js';
import type { SoftTokenTransformer } from './transformer.js';

/** Picture and text as wholes, to be compared: `[batch, alignDim]` each. */
export interface PooledPair {
  text: tf.Tensor2D;
  image: tf.Tensor2D;
}

export interface SoftTokenOutput extends DetectorOutput {
  /** Temperature of the contrastive alignment. */
  tau: tf.Scalar;
  pooled: PooledPair | null;
  /** Answers to the text as a question, where the model gives any. */
  answers: Answers;
  /** Named values inside the model, if asked for; names are those of the golden vectors. */
  intermediates: Record<string, tf.Tensor>;
}

/** Where the backbone's parameters stand. */
export const BACKBONE = 'backbone.0.body.';

/**
 * Everything around the transformer of MDETR and of the published MDETR-G: projections of maps, heads whose slots stand for
 * token positions, and the spaces in which queries and tokens, picture and text are compared. Names are the originals'.
 */
export abstract class SoftTokenDetector<O extends SoftTokenOptions> extends Module implements TextDetector {
  readonly prompt: PromptRule;
  readonly answers: AnswerRule = { soft: true, specialTokens: false, duplicateIou: 1 };
  private readonly inputProj: Conv2d[];
  private readonly queryEmbed: tf.Variable;
  private readonly classEmbed: Linear;
  private readonly boxHead: MLP;
  private readonly align: { image: Linear; text: Linear } | null;
  private readonly pooled: { image: Linear; text: Linear } | null;
  private readonly predictor: Compiled<[DetectorInput, WordMask], Prediction> = compile(
    (input: DetectorInput, wordMask: WordMask) => {
      const { pred_logits, pred_boxes } = this.forward(input, wordMask);
      return { pred_logits, pred_boxes };
    },
    // A single picture is answered sooner without.
    { name: 'prediction', warmup: 1, frozen: true },
  );

  constructor(
    readonly backbone: Backbone,
    readonly textEncoder: TransformerTextEncoder,
    readonly options: O,
    private readonly transformer: SoftTokenTransformer,
  ) {
    super();
    const { dModel, queries, slots, alignDim } = options;
    this.prompt = { maxTokens: textEncoder.maxTokens, joint: ', ' };
    this.child('transformer', transformer);
    this.child('transformer.text_encoder', textEncoder);
    this.classEmbed = this.child('class_embed', new Linear(dModel, slots));
    this.boxHead = this.child('bbox_embed', new MLP(dModel, dModel, 4, 3));
    this.queryEmbed = this.parameter('query_embed.weight', {
      shape: [queries, dModel],
      init: { kind: 'normal', std: 1 },
    });
    const used = backbone.channels.slice(-transformer.levels);
    if (used.length < transformer.levels) {
      throw new RangeError(
        `[SoftTokenDetector] expected a backbone with ${transformer.levels} maps but received one with ${used.length}`,
      );
    }
    const projections = used.map((channels) => new Conv2d(channels, dModel, 1));
    this.inputProj =
      projections.length > 1
        ? this.children('input_proj', projections)
        : [this.child('input_proj', projections[0]!)];
    this.child(BACKBONE.slice(0, -1), backbone);
    this.align = options.align
      ? {
          image: this.child('contrastive_align_projection_image', new Linear(dModel, alignDim)),
          text: this.child('contrastive_align_projection_text', new Linear(dModel, alignDim)),
        }
      : null;
    const plain = { bias: false };
    this.pooled = options.pooled
      ? {
          image: this.child('contrastive_projection_image', new Linear(dModel, alignDim, plain)),
          text: this.child(
            'contrastive_projection_text',
            new Linear(textEncoder.hiddenSize, alignDim, plain),
          ),
        }
      : null;
  }

  /** The text as a whole. @param hidden `[batch, T, hidden]` @returns `[batch, hidden]` */
  protected abstract poolText(hidden: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor2D;

  /** Class logits as they leave the model. */
  protected abstract scaleLogits(logits: tf.Tensor): tf.Tensor;

  /** Temperature of the contrastive alignment. */
  abstract tau(): tf.Scalar;

  /** `[extra, C]`, queries behind those for boxes; null if there are none. */
  protected askedQueries(): tf.Tensor2D | null {
    return null;
  }

  /** @param _asked `[batch, extra, C]`, what the first decoder layer makes of those queries: the reference takes that one */
  protected answer(_asked: tf.Tensor3D): Answers {
    return {};
  }

  /** `[batch, Q, 1]`, if the model tells the object meant from others that are named. */
  protected finality(_hidden: tf.Tensor3D): tf.Tensor3D | null {
    return null;
  }

  /** @param wordMask is not looked at: slots stand for all tokens */
  forward(input: DetectorInput, _wordMask: WordMask | null = null, mode: ForwardMode = {}): SoftTokenOutput {
    const { training = false, random } = mode;
    const drawn = { training, ...(random ? { random } : {}) };
    const stages = new Stages(mode.intermediates);
    const { levels } = this.backbone.forward(input.pixels, { ...drawn, ...stages.taps('backbone') });
    const maps = levels.slice(-this.inputProj.length);
    const projected = maps.map((map, i) => this.inputProj[i]!.forward(map));
    const text = this.textEncoder.encode(input.inputIds, input.textMask, {
      ...drawn,
      ...stages.taps('text_encoder'),
    });
    const boxQueries = this.queryEmbed as tf.Tensor as tf.Tensor2D;
    const asked = this.askedQueries();
    const output = this.transformer.forward({
      maps: projected,
      pixelMask: input.pixelMask,
      text,
      textMask: input.textMask,
      queries: asked ? tf.concat([boxQueries, asked]) : boxQueries,
    });
    const [boxCount] = boxQueries.shape;
    const states = asked
      ? output.hidden.map((hidden) => tf.slice(hidden, [0, 0, 0], [-1, boxCount, -1]))
      : output.hidden;
    const layers = states.map((hidden) => this.predictions(hidden));
    const { align, pooled } = this;
    return {
      ...layers.at(-1)!,
      ...(align ? { proj_tokens: unit(align.text.forward(output.words)) } : {}),
      aux_outputs: layers.slice(0, -1),
      answers: asked ? this.answer(tf.slice(output.hidden[0]!, [0, boxCount, 0], [-1, -1, -1])) : {},
      tau: this.tau(),
      pooled: pooled && {
        text: pooled.text.forward(this.poolText(text, input.textMask)) as tf.Tensor2D,
        image: pooled.image.forward(output.picture!) as tf.Tensor2D,
      },
      intermediates: stages.all(() => ({
        ...output.intermediates,
        ...describe(projected, text, output.hidden),
      })),
    };
  }

  predict(input: DetectorInput, wordMask: WordMask): Prediction {
    const { pixels, pixelMask, inputIds, textMask } = input;
    return this.predictor({ pixels, pixelMask, inputIds, textMask }, wordMask);
  }

  override dispose(): void {
    super.dispose();
    this.predictor.dispose();
  }

  private predictions(hidden: tf.Tensor3D): LayerOutput {
    const final = this.finality(hidden);
    return {
      pred_logits: this.scaleLogits(this.classEmbed.forward(hidden)) as tf.Tensor3D,
      pred_boxes: tf.sigmoid(this.boxHead.forward(hidden)) as tf.Tensor3D,
      ...(this.align ? { proj_queries: unit(this.align.image.forward(hidden)) } : {}),
      ...(final ? { pred_isfinal: final } : {}),
    };
  }
}

/** Vectors of length one along the last axis. */
function unit(x: tf.Tensor): tf.Tensor3D {
  return tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), -1, true)), 1e-12)) as tf.Tensor3D;
}

function describe(
  projected: readonly tf.Tensor4D[],
  text: tf.Tensor3D,
  hidden: readonly tf.Tensor3D[],
): Record<string, tf.Tensor> {
  const maps = projected.map((map, i) => [projected.length > 1 ? `proj.${i}` : 'proj', map] as const);
  return { ...Object.fromEntries(maps), text_features: text, hs: tf.stack([...hidden], 0) };
}
