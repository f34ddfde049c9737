// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Compiled, compile } from '../../engine/index.js';
import type { RandomStream } from '../../ops/index.js';
import type { Backbone } from '../backbones/index.js';
import type { LevelSequence } from '../deformable_encoder.js';
import type { InitSpec } from '../init.js';
import { Linear, MLP } from '../layers/basic.js';
import { Module } from '../module.js';
import { numbered, Stages } from '../stages.js';
import type { DetectorOutput, LayerOutput } from '../types.js';
import { Decoder } from './decoder.js';
import { describeInput } from './describe_input.js';
import { Encoder } from './encoder.js';
import { InputProjection } from './input_projection.js';
import type { DeformableDetrOptions } from './options.js';
import { type FirstStage, ProposalStage } from './proposals.js';
import { type TopDetections, topDetections } from './top_detections.js';

/** A batch of pictures. */
export interface PictureInput {
  /** `[batch, H, W, 3]`, normalised. */
  pixels: tf.Tensor4D;
  /** `[batch, H, W]`, 1 = real, or null when no picture is padded. */
  pixelMask: tf.Tensor3D | null;
  /** Metres per pixel `[batch]`, for backbones that count metres. */
  gsd?: tf.Tensor1D | null;
}

export interface DeformableDetrOutput extends DetectorOutput {
  /** First-stage proposals of all tokens, with two stages. */
  enc_outputs: LayerOutput | null;
  /** Named values inside the model, if asked for; names are those of the golden vectors. */
  intermediates: Record<string, tf.Tensor>;
}

/** Probability of every class at the start, so that the many empty queries don't drown the few others. */
const PRIOR = 0.01;

/** Where the decoder starts. */
interface Start {
  content: tf.Tensor3D;
  position: tf.Tensor3D;
  references: tf.Tensor3D;
  stage: FirstStage | null;
}

/**
 * Deformable DETR: boxes of a list of classes; plain, with box refinement, or in two stages.
 *
 * Source: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection",
 * https://github.com/fundamentalvision/Deformable-DETR. Parameters have the names of Hugging Face's files.
 */
export class DeformableDetr extends Module {
  private readonly inputProj: InputProjection;
  private readonly levelEmbed: tf.Variable;
  private readonly encoder: Encoder;
  private readonly decoder: Decoder;
  private readonly queryEmbed: tf.Variable | null;
  private readonly referencePoints: Linear | null;
  private readonly proposals: ProposalStage | null;
  /** One a decoder layer, and with two stages one more for the proposals. */
  private readonly classHeads: Linear[];
  private readonly boxHeads: MLP[];
  private readonly predictor: Compiled<[PictureInput, tf.Tensor1D | null], TopDetections> = compile(
    (input: PictureInput, wanted: tf.Tensor1D | null) => topDetections(this.forward(input), wanted),
    // A single picture is answered sooner without.
    { name: 'prediction', warmup: 1, frozen: true },
  );

  constructor(
    readonly backbone: Backbone,
    readonly options: DeformableDetrOptions,
  ) {
    super();
    const { dModel, levels, queries, twoStage } = options;
    this.child('model.backbone.conv_encoder.model', backbone);
    this.inputProj = new InputProjection(backbone.channels, dModel, levels);
    this.children('model.input_proj', this.inputProj.levels);
    this.levelEmbed = this.parameter('model.level_embed', {
      shape: [levels, dModel],
      init: { kind: 'normal', std: 1 },
    });
    this.encoder = this.child('model.encoder', new Encoder(options));
    this.decoder = this.child('model.decoder', new Decoder(options));
    this.proposals = twoStage ? this.child('model', new ProposalStage(options)) : null;
    this.queryEmbed = twoStage
      ? null
      : this.parameter('model.query_position_embeddings.weight', {
          shape: [queries, 2 * dModel],
          init: { kind: 'normal', std: 1 },
        });
    const points = { init: { kind: 'xavierUniform', fanIn: dModel, fanOut: 2 }, biasInit: { kind: 'zeros' } };
    this.referencePoints = twoStage
      ? null
      : this.child('model.reference_points', new Linear(dModel, 2, points as { init: InitSpec }));
    this.boxHeads = this.makeBoxHeads();
    this.classHeads = this.makeClassHeads();
  }

  private makeClassHeads(): Linear[] {
    const { dModel, classes, decoderLayers, boxRefine, twoStage, sharedClassHead } = this.options;
    const biasInit: InitSpec = { kind: 'constant', value: -Math.log((1 - PRIOR) / PRIOR) };
    const make = () => new Linear(dModel, classes, { biasInit });
    const count = decoderLayers + (twoStage ? 1 : 0);
    const shared = !twoStage && (!boxRefine || sharedClassHead) ? make() : null;
    const heads = Array.from({ length: count }, () => shared ?? make());
    if (twoStage) this.children('model.decoder.class_embed', heads);
    return this.children('class_embed', heads);
  }

  private makeBoxHeads(): MLP[] {
    const { dModel, decoderLayers, boxRefine, twoStage } = this.options;
    // Boxes begin small where points have no size of their own.
    const make = (first: boolean) =>
      new MLP(dModel, dModel, 4, 3, { bias: first && !twoStage ? [0, 0, -2, -2] : [0, 0, 0, 0] });
    const count = decoderLayers + (twoStage ? 1 : 0);
    const shared = boxRefine ? null : make(true);
    const heads = Array.from({ length: count }, (_, i) => shared ?? make(i === 0));
    if (boxRefine) this.children('model.decoder.bbox_embed', heads);
    return this.children('bbox_embed', heads);
  }

  /** @param options.intermediates also return named inner values, those of the backbone as `backbone.*`; `random`: what drop path draws from */
  forward(
    { pixels, pixelMask, gsd }: PictureInput,
    options: { training?: boolean; random?: RandomStream; intermediates?: boolean } = {},
  ): DeformableDetrOutput {
    const stages = new Stages(options.intermediates);
    const { levels: maps } = this.backbone.forward(pixels, {
      training: options.training ?? false,
      random: options.random,
      ...(gsd ? { gsd } : {}),
      ...stages.taps('backbone'),
    });
    const image = this.inputProj.forward(maps, pixelMask, this.levelEmbed);
    const encoded = this.encoder.forward(image);
    const memory: LevelSequence = { ...image, tokens: encoded.at(-1) ?? image.tokens };
    const start = this.start(memory);
    const { content, position, references, stage } = start;
    const decoded = this.decoder.forward(content, position, references, memory, this.boxHeads);
    const logits = this.classify(decoded.hidden);
    const layers = logits.map((pred_logits, i) => ({ pred_logits, pred_boxes: decoded.boxes[i]! }));
    return {
      ...layers.at(-1)!,
      aux_outputs: layers.slice(0, -1),
      enc_outputs: stage && {
        pred_logits: stage.logits,
        pred_boxes: tf.sigmoid(stage.boxLogits) as tf.Tensor3D,
      },
      intermediates: stages.all(() => ({
        ...describeInput(maps, image),
        ...describeStart(start),
        ...numbered('encoder_layer', encoded),
        intermediate_hidden_states: tf.stack(decoded.hidden, 1),
        intermediate_reference_points: tf.stack(decoded.references, 1),
      })),
    };
  }

  /**
   * The best detections of each picture, by a compiled function: what detecting needs.
   * @param wanted `[classes]`, 1 = a class that is asked for; null = all
   */
  predict({ pixels, pixelMask, gsd = null }: PictureInput, wanted: tf.Tensor1D | null = null): TopDetections {
    return this.predictor({ pixels, pixelMask, gsd }, wanted);
  }

  override dispose(): void {
    super.dispose();
    this.predictor.dispose();
  }

  /** (H, W) of each feature level for pictures of this size. */
  spatialShapes(width: number, height: number): [number, number][] {
    const shapes = this.backbone.levelShapes(height, width).slice(-this.options.levels);
    while (shapes.length < this.options.levels) {
      const [h, w] = shapes.at(-1)!;
      shapes.push([Math.ceil(h / 2), Math.ceil(w / 2)]);
    }
    return shapes;
  }

  private start(memory: LevelSequence): Start {
    if (this.proposals) {
      const stage = this.proposals.forward(memory, this.classHeads.at(-1)!, this.boxHeads.at(-1)!);
      return { content: stage.content, position: stage.position, references: stage.references, stage };
    }
    const batch = memory.tokens.shape[0];
    const [position, content] = tf.split(this.queryEmbed!, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
    const references = tf.sigmoid(this.referencePoints!.forward(position));
    const each = (x: tf.Tensor) => tf.tile(tf.expandDims(x, 0), [batch, 1, 1]) as tf.Tensor3D;
    return { content: each(content), position: each(position), references: each(references), stage: null };
  }

  /** Class logits of every decoder layer; one product where the layers share their head. */
  private classify(hidden: readonly tf.Tensor3D[]): tf.Tensor3D[] {
    const [head, second] = this.classHeads;
    if (hidden.length > 1 && head === second) {
      return tf.unstack(head!.forward(tf.stack([...hidden]))) as tf.Tensor3D[];
    }
    return hidden.map((x, i) => this.classHeads[i]!.forward(x) as tf.Tensor3D);
  }
}

function describeStart({ content, position, references, stage }: Start): Record<string, tf.Tensor> {
  return {
    decoder_input: content,
    query_position: position,
    reference_points: references,
    ...(stage
      ? {
          enc_outputs_class: stage.logits,
          enc_outputs_coord_logits: stage.boxLogits,
          topk_proposals: stage.chosen,
        }
      : {}),
  };
}
