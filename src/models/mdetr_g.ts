// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Compiled, compile } from '../engine/index.js';
import type { RandomStream } from '../ops/index.js';
import type { Backbone } from './backbones/index.js';
import { DeformableDecoder } from './deformable_decoder.js';
import { DeformableEncoder, type LevelSequence, type TextSequence } from './deformable_encoder.js';
import { ContrastiveAlignHead, SoftTokenHead, TokenSigmoidHead } from './heads.js';
import type { DropPass } from './layers/dropout.js';
import { noised } from './layers/noise.js';
import { TextResizer } from './layers/text_resizer.js';
import { FineProjection, LevelProjection } from './level_projection.js';
import { Module } from './module.js';
import { type Proposals, TextQuerySelection } from './query_selection.js';
import { numbered, Stages } from './stages.js';
import type { TextEncoder, TextEncoderOptions } from './text/index.js';
import type { AnswerRule, PromptRule, TextDetector } from './text_detector.js';
import type { DetectorInput, DetectorOutput, LayerOutput, WordMask } from './types.js';

/** How a query says which words it answers to. */
export const HEAD_KINDS = ['token-sigmoid', 'soft-token'] as const;
export type HeadKind = (typeof HEAD_KINDS)[number];

/** Where the decoder's first boxes come from. */
export const QUERY_SOURCES = ['text', 'learned'] as const;
export type QuerySource = (typeof QUERY_SOURCES)[number];

/**
 * Queries chosen by the text stand several to an object, and those that agree this much are one object. (MDETR's learned
 * queries settle that among themselves.)
 */
const DUPLICATE_IOU = 0.5;

/** Everything about the transformer and the heads; backbone and text encoder are built outside. */
export interface MdetrGOptions {
  dModel: number;
  heads: number;
  encoderLayers: number;
  decoderLayers: number;
  ffn: number;
  points: number;
  queries: number;
  head: HeadKind;
  querySource: QuerySource;
  /** So many of the backbone's finest maps are seen by the decoder alone: it places edges there, the encoder is spared. */
  fineLevels: number;
  /** Width of the space in which queries and tokens are compared. */
  alignDim: number;
  /** Token positions of the soft-token head; the last means "no object". */
  slots: number;
  /** Image tokens read the text in the encoder. */
  textToImage: boolean;
  /** Text tokens read the image in the encoder. */
  imageToText: boolean;
  /** Noise on the text encoder's features in training, as a share of their size; default 0. */
  textNoise?: number;
}

/** Extra queries that start from noised true boxes. */
export interface DenoisingQueries {
  /** `[batch, D, 4]` */
  references: tf.Tensor3D;
  /** Scores added between all queries, `[1, 1, Q + D, Q + D]`. */
  bias: tf.Tensor4D;
}

/** Words to be told from each other on every image token, as texts of their own. */
export interface LabelTexts {
  /** int32 `[labels, tokens]` */
  ids: tf.Tensor2D;
  /** `[labels, tokens]`, 1 = real. */
  mask: tf.Tensor2D;
  /** `[labels, tokens]`, 1 = a token that stands for words. */
  wordMask: tf.Tensor2D;
  /** `[labels, tokens, hidden]`, as `DetectorInput.textFeatures`. */
  features?: tf.Tensor3D;
}

/** Predictions of all decoder layers, stacked, as the losses want them. */
export interface MdetrGOutput extends DetectorOutput {
  /** `[batch, layers, Q + D, tokens or slots]` */
  stackedLogits: tf.Tensor4D;
  /** `[batch, layers, Q + D, 4]` */
  stackedBoxes: tf.Tensor4D;
  /** First-stage proposals, where queries come from the text. */
  proposals: Proposals | null;
  /** `[batch, S, labels]`: which labels hold at each image token, where labels were given. */
  labelLogits: tf.Tensor3D | null;
  /** Temperature of the contrastive alignment. */
  tau: tf.Scalar;
  /** `[batch, layers, Q + D, alignDim]` unit vectors, soft-token head only. */
  stackedProjections: tf.Tensor4D | null;
  spatialShapes: [number, number][];
  /** Named values inside the model, if asked for. */
  intermediates: Record<string, tf.Tensor>;
}

/**
 * MDETR-G: boxes for what a sentence says, in overhead pictures. Image features of several levels and text features
 * meet in a deformable encoder and decoder, so that boxes depend on the words.
 *
 * Sources: MDETR (Kamath et al. 2021); deformable attention (Zhu et al. 2021); MDETR-G's published description
 * (Swin backbone, three encoder and decoder layers, learned temperature). Departures from MDETR-G's published code, where
 * the caption reaches the boxes in no layer of its recommended recipe: text enters encoder and decoder.
 */
export class MdetrG extends Module implements TextDetector {
  readonly prompt: PromptRule;
  readonly answers: AnswerRule;
  readonly textIsFixed: boolean;
  private readonly resizer: TextResizer;
  private readonly inputProj: LevelProjection;
  private readonly fineProj: FineProjection | null;
  private readonly encoder: DeformableEncoder;
  private readonly decoder: DeformableDecoder;
  private readonly selection: TextQuerySelection | null;
  private readonly queryContent: tf.Variable;
  private readonly queryBoxes: tf.Variable | null;
  private readonly denoisingContent: tf.Variable;
  private readonly labelHead: TokenSigmoidHead | null;
  private readonly tokenHead: TokenSigmoidHead | null;
  private readonly softHead: SoftTokenHead | null;
  private readonly align: ContrastiveAlignHead | null;
  private readonly predictor: Compiled<
    [DetectorInput, WordMask],
    Pick<MdetrGOutput, 'pred_logits' | 'pred_boxes'>
  > = compile(
    (input: DetectorInput, wordMask: WordMask) => {
      const { pred_logits, pred_boxes } = this.forward(input, wordMask);
      return { pred_logits, pred_boxes };
    },
    // A single picture is answered sooner without.
    { name: 'prediction', warmup: 1, frozen: true },
  );

  /** @param sources.borrowedText the text encoder's values come from elsewhere, and training leaves them alone */
  constructor(
    readonly backbone: Backbone,
    readonly textEncoder: TextEncoder,
    readonly options: MdetrGOptions,
    { borrowedText = false }: { borrowedText?: boolean } = {},
  ) {
    super();
    const { dModel, heads, ffn, points, alignDim, queries } = options;
    this.prompt = { maxTokens: textEncoder.maxTokens, joint: ', ' };
    this.answers = {
      soft: options.head === 'soft-token',
      specialTokens: false,
      duplicateIou: options.querySource === 'text' ? DUPLICATE_IOU : 1,
    };
    const { fineLevels } = options;
    const levels = backbone.channels.length - fineLevels;
    if (levels < 1) {
      throw new RangeError(
        `[MdetrG] expected fewer fineLevels than the backbone's ${backbone.channels.length} levels but received ${fineLevels}`,
      );
    }
    this.child('backbone', backbone);
    this.textIsFixed = borrowedText;
    if (borrowedText) this.borrow('text_encoder', textEncoder);
    else this.child('text_encoder', textEncoder);
    this.resizer = this.child('resizer', new TextResizer(textEncoder.hiddenSize, dModel));
    this.inputProj = this.child(
      'input_proj',
      new LevelProjection(backbone.channels.slice(fineLevels), dModel),
    );
    this.fineProj =
      fineLevels > 0
        ? this.child('fine_proj', new FineProjection(backbone.channels.slice(0, fineLevels), dModel))
        : null;
    const layer = { dModel, heads, levels, points, ffn };
    this.encoder = this.child(
      'transformer.encoder',
      new DeformableEncoder({ ...layer, ...options, layers: options.encoderLayers }),
    );
    this.decoder = this.child(
      'transformer.decoder',
      new DeformableDecoder({ ...layer, levels: levels + fineLevels, layers: options.decoderLayers }),
    );
    this.selection =
      options.querySource === 'text'
        ? this.child('transformer', new TextQuerySelection(dModel, alignDim, queries))
        : null;
    // As far apart as the layers' norms leave them: queries at one place differ in nothing else, and only by their
    // difference can they settle who answers.
    const distinct = { kind: 'normal', std: 1 } as const;
    this.queryContent = this.parameter('query_embed', { shape: [queries, dModel], init: distinct });
    this.queryBoxes = this.selection
      ? null
      : this.parameter('query_boxes', { shape: [queries, 4], init: { kind: 'normal', std: 1 } });
    this.denoisingContent = this.parameter('denoising_embed', { shape: [1, dModel], init: distinct });
    this.labelHead = this.selection ? this.child('label_head', new TokenSigmoidHead(dModel, alignDim)) : null;
    const soft = options.head === 'soft-token';
    this.tokenHead = soft ? null : this.child('token_head', new TokenSigmoidHead(dModel, alignDim));
    this.softHead = soft
      ? this.child('soft_token_head', new SoftTokenHead(dModel, options.slots, true))
      : null;
    this.align = soft ? this.child('align', new ContrastiveAlignHead(dModel, alignDim)) : null;
  }

  /**
   * @param wordMask `[batch, tokens]`, 1 = a token that may be answered to
   * @param options.random draws what backbone and text encoder drop in training, where their settings say so
   * @param options.denoising extra queries for training; they follow the others in the stacked outputs
   * @param options.labels words to be told from each other on the image tokens, for training
   * @param options.intermediates also return named inner values
   */
  forward(
    input: DetectorInput,
    wordMask: WordMask,
    options: {
      training?: boolean;
      random?: RandomStream;
      denoising?: DenoisingQueries | null;
      labels?: LabelTexts | null;
      intermediates?: boolean;
    } = {},
  ): MdetrGOutput {
    const mode = {
      training: options.training ?? false,
      ...(options.random ? { random: options.random } : {}),
    };
    const stages = new Stages(options.intermediates);
    const maps = this.backbone.forward(input.pixels, { ...mode, ...stages.taps('backbone') }).levels;
    const { fineLevels } = this.options;
    const image = this.inputProj.forward(maps.slice(fineLevels), input.pixelMask);
    const features = this.noised(
      this.encodeText(input.inputIds, input.textMask, input.textFeatures, {
        ...mode,
        ...stages.taps('text_encoder'),
      }),
      mode,
    );
    const text: TextSequence = {
      tokens: this.resizer.forward(features) as tf.Tensor3D,
      mask: input.textMask,
    };
    const encoded = this.encoder.forward(image, text);
    const memory: LevelSequence = { ...image, tokens: encoded.image };
    const words: TextSequence = { ...text, tokens: encoded.text };
    const start = this.firstQueries(memory, words, wordMask, options.denoising ?? null);
    const bias = options.denoising?.bias ?? null;
    const seen = this.fineProj
      ? this.fineProj.before(maps.slice(0, fineLevels), input.pixelMask, memory)
      : memory;
    const layers = this.decoder.forward(start.content, start.references, seen, words, bias);
    const hidden = tf.stack(
      layers.map((layer) => layer.hidden),
      1,
    ); // [batch, layers, Q + D, C]
    const output = this.heads(
      hidden as tf.Tensor4D,
      tf.stack(
        layers.map((layer) => layer.boxes),
        1,
      ) as tf.Tensor4D,
      words,
    );
    const labelLogits =
      options.labels && start.proposals
        ? this.labelLogits(start.proposals.hidden, options.labels, mode)
        : null;
    return {
      ...output,
      labelLogits,
      proposals: start.proposals,
      spatialShapes: image.spatialShapes,
      intermediates: stages.all(() => ({
        ...numbered(
          'encoder.image',
          encoded.layers.map((layer) => layer.image),
        ),
        ...numbered(
          'encoder.text',
          encoded.layers.map((layer) => layer.text),
        ),
        memory: encoded.image,
        text: encoded.text,
        references: start.references,
        hidden,
      })),
    };
  }

  /**
   * Logits and boxes of the last decoder layer, by a compiled function: what detecting needs.
   * @param wordMask `[batch, tokens]`, 1 = a token that may be answered to
   */
  predict(input: DetectorInput, wordMask: WordMask): Pick<MdetrGOutput, 'pred_logits' | 'pred_boxes'> {
    const { pixels, pixelMask, inputIds, textMask } = input;
    return this.predictor({ pixels, pixelMask, inputIds, textMask }, wordMask);
  }

  override dispose(): void {
    super.dispose();
    this.predictor.dispose();
  }

  private encodeText(
    ids: tf.Tensor2D,
    mask: tf.Tensor2D,
    known: tf.Tensor3D | undefined,
    mode: TextEncoderOptions = {},
  ): tf.Tensor3D {
    const { taps } = mode;
    const still = taps ? { taps } : {};
    return known ?? this.textEncoder.encode(ids, mask, this.textIsFixed ? still : mode);
  }

  private noised(features: tf.Tensor3D, mode: DropPass): tf.Tensor3D {
    return noised(features, this.options.textNoise ?? 0, mode);
  }

  /** Each label is read alone, so its vector does not depend on the caption. */
  private labelLogits(hidden: tf.Tensor3D, labels: LabelTexts, mode: DropPass): tf.Tensor3D {
    const [batch, rows, channels] = hidden.shape;
    const features = this.encodeText(labels.ids, labels.mask, labels.features);
    const tokens = this.resizer.forward(this.noised(features, mode));
    const weights = tf.expandDims(labels.wordMask, 2);
    // A label without words is padding.
    const vectors = tf.div(tf.sum(tf.mul(tokens, weights), 1), tf.maximum(tf.sum(weights, 1), 1)); // [labels, C]
    const logits = this.labelHead!.forward(
      hidden.reshape([1, batch * rows, channels]),
      tf.expandDims(vectors, 0),
    );
    return logits.reshape([batch, rows, labels.ids.shape[0]]);
  }

  /** (H, W) of each of the encoder's levels for pictures of this size. */
  spatialShapes(width: number, height: number): [number, number][] {
    return this.backbone.levelShapes(height, width).slice(this.options.fineLevels);
  }

  private firstQueries(
    memory: LevelSequence,
    text: TextSequence,
    wordMask: WordMask,
    denoising: DenoisingQueries | null,
  ): { content: tf.Tensor3D; references: tf.Tensor3D; proposals: Proposals | null } {
    const batch = memory.tokens.shape[0];
    const chosen = this.selection?.forward(memory.tokens, memory, text, wordMask) ?? null;
    // Chosen boxes are constants; learned ones are trained through the first decoder layer.
    let references =
      chosen?.references ??
      (tf.tile(tf.expandDims(tf.sigmoid(this.queryBoxes!), 0), [batch, 1, 1]) as tf.Tensor3D);
    const queries = references.shape[1];
    let content = tf.slice(this.queryContent, [0, 0], [queries, -1]);
    if (denoising) {
      const extra = tf.tile(this.denoisingContent, [denoising.references.shape[1], 1]);
      content = tf.concat([content, extra], 0);
      references = tf.concat([references, denoising.references], 1) as tf.Tensor3D;
    }
    return {
      content: tf.tile(tf.expandDims(content, 0), [batch, 1, 1]) as tf.Tensor3D,
      references,
      proposals: chosen?.proposals ?? null,
    };
  }

  private heads(
    hidden: tf.Tensor4D,
    boxes: tf.Tensor4D,
    text: TextSequence,
  ): Omit<MdetrGOutput, 'proposals' | 'labelLogits' | 'spatialShapes' | 'intermediates'> {
    const [batch, layers, queries, channels] = hidden.shape;
    // Layers beside each other along the queries: one product for all of them.
    const flat = hidden.reshape([batch, layers * queries, channels]);
    const unflatten = (x: tf.Tensor) => x.reshape([batch, layers, queries, x.shape[2]!]) as tf.Tensor4D;
    const logits = this.tokenHead ? this.tokenHead.forward(flat, text.tokens) : this.softHead!.forward(flat);
    const stackedLogits = unflatten(logits);
    const stackedProjections = this.align ? unflatten(this.align.queries(flat)) : null;
    const layerOutputs = Array.from({ length: layers }, (_, i) =>
      layerOutput(stackedLogits, boxes, stackedProjections, i),
    );
    return {
      ...layerOutputs.at(-1)!,
      aux_outputs: layerOutputs.slice(0, -1),
      ...(this.align ? { proj_tokens: this.align.tokens(text.tokens) } : {}),
      stackedLogits,
      stackedBoxes: boxes,
      stackedProjections,
      tau: this.align ? this.align.tau() : tf.scalar(1),
    };
  }
}

function layerOutput(
  logits: tf.Tensor4D,
  boxes: tf.Tensor4D,
  projections: tf.Tensor4D | null,
  layer: number,
): LayerOutput {
  const at = (x: tf.Tensor4D) =>
    tf.squeeze(tf.slice(x, [0, layer, 0, 0], [-1, 1, -1, -1]), [1]) as tf.Tensor3D;
  return {
    pred_logits: at(logits),
    pred_boxes: at(boxes),
    ...(projections ? { proj_queries: at(projections) } : {}),
  };
}
