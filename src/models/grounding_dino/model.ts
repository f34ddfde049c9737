// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Compiled, compile } from '../../engine/index.js';
import type { Backbone } from '../backbones/index.js';
import { describeInput, InputProjection } from '../deformable_detr/index.js';
import type { LevelSequence, TextSequence } from '../deformable_encoder.js';
import { Linear, MLP } from '../layers/basic.js';
import { inverseSigmoid } from '../layers/position.js';
import { Module } from '../module.js';
import { Stages } from '../stages.js';
import type { TextEncoder, TextEncoderOptions } from '../text/index.js';
import type { ForwardMode, Prediction, TextDetector } from '../text_detector.js';
import type { DetectorInput, DetectorOutput, LayerOutput } from '../types.js';
import { Decoder, type DecoderOutput } from './decoder.js';
import { type EncodedLayer, Encoder } from './encoder.js';
import type { GroundingDinoOptions } from './options.js';
import { type PhraseLayout, phraseLayout } from './phrases.js';
import { QuerySelection, type Selection } from './selection.js';
import { TokenLogits } from './token_logits.js';

export interface GroundingDinoOutput extends DetectorOutput {
  /** The chosen proposals: `[batch, Q, tokens]`, `[batch, Q, 4]`. */
  proposals: LayerOutput;
  /** Named values inside the model, if asked for; names are those of the golden vectors. */
  intermediates: Record<string, tf.Tensor>;
}

/** A text on its way through the model. */
interface ReadText {
  layout: PhraseLayout;
  /** `[batch, tokens, hidden]`, what the text encoder gives. */
  encoded: tf.Tensor3D;
  sequence: TextSequence;
}

/**
 * Grounding DINO: boxes for the phrases of a text, `ships. white cars.`; MM-Grounding-DINO with `scaled` logits.
 *
 * Source: Liu et al. 2023, "Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection",
 * https://github.com/IDEA-Research/GroundingDINO. Parameters have the names of Hugging Face's files.
 */
export class GroundingDino extends Module implements TextDetector {
  readonly prompt;
  // Every word answers for itself, [CLS] and delimiters too; queries settle among themselves who answers.
  readonly answers = { soft: false, specialTokens: true, duplicateIou: 1 };
  private readonly inputProj: InputProjection;
  private readonly levelEmbed: tf.Variable;
  private readonly textProjection: Linear;
  private readonly encoder: Encoder;
  private readonly decoder: Decoder;
  private readonly selection: QuerySelection;
  private readonly queryContent: tf.Variable;
  private readonly boxHeads: MLP[];
  private readonly classHeads: TokenLogits[];
  private readonly predictor: Compiled<[DetectorInput], Prediction> = compile(
    (input: DetectorInput) => {
      const { pred_logits, pred_boxes } = this.forward(input);
      return { pred_logits, pred_boxes };
    },
    // A single picture is answered sooner without.
    { name: 'prediction', warmup: 1, frozen: true },
  );

  constructor(
    readonly backbone: Backbone,
    readonly textEncoder: TextEncoder,
    readonly options: GroundingDinoOptions,
  ) {
    super();
    const { dModel, levels, queries, temperature, textTokens } = options;
    this.prompt = {
      maxTokens: Math.min(textTokens, textEncoder.maxTokens),
      closing: '.',
      joint: '. ',
    };
    this.child('model.backbone.conv_encoder.model', backbone);
    this.inputProj = new InputProjection(backbone.channels, dModel, levels, { temperature });
    this.children('model.input_proj_vision', this.inputProj.levels);
    this.child('model.text_backbone', textEncoder);
    this.textProjection = this.child('model.text_projection', new Linear(textEncoder.hiddenSize, dModel));
    const normal = { kind: 'normal', std: 1 } as const;
    this.levelEmbed = this.parameter('model.level_embed', { shape: [levels, dModel], init: normal });
    this.queryContent = this.parameter('model.query_position_embeddings.weight', {
      shape: [queries, dModel],
      init: normal,
    });
    this.encoder = this.child('model.encoder', new Encoder(options));
    this.decoder = this.child('model.decoder', new Decoder(options));
    this.selection = this.child('model', new QuerySelection(options));
    this.boxHeads = this.heads('bbox_embed', options.sharedBoxHead, () => {
      return new MLP(dModel, dModel, 4, 3, { bias: [0, 0, 0, 0] });
    });
    this.classHeads = this.heads('class_embed', options.sharedClassHead, () => {
      return new TokenLogits(options.logits);
    });
  }

  /** A head for each decoder layer, or one for all, under both of its names. */
  private heads<M extends Module>(name: string, shared: boolean, make: () => M): M[] {
    const one = shared ? make() : null;
    const heads = Array.from({ length: this.options.decoderLayers }, () => one ?? make());
    this.children(`model.decoder.${name}`, heads);
    return this.children(name, heads);
  }

  /**
   * @param input ids as Grounding DINO wants them: phrases between delimiters
   * @param mode.random draws what is dropped in training, where the settings say so
   * @param mode.intermediates also return named inner values, those of the parts as `backbone.*` and `text_encoder.*`
   */
  forward(input: DetectorInput, _wordMask: unknown = null, mode: ForwardMode = {}): GroundingDinoOutput {
    const { random = null, training = false } = mode;
    const drawn = { training, ...(random ? { random } : {}) };
    const stages = new Stages(mode.intermediates);
    const { levels: maps } = this.backbone.forward(input.pixels, { ...drawn, ...stages.taps('backbone') });
    const image = this.inputProj.forward(maps, input.pixelMask, this.levelEmbed);
    const text = this.read(input, { ...drawn, ...stages.taps('text_encoder') });
    const encoded = this.encoder.forward(image, text.sequence, text.layout, training ? random : null);
    const last = encoded.at(-1) ?? { image: image.tokens, text: text.sequence.tokens };
    const memory: LevelSequence = { ...image, tokens: last.image };
    const words: TextSequence = { ...text.sequence, tokens: last.text };
    const selection = this.selection.forward(memory, words);
    const content = this.firstContent(selection.references.shape[0], selection.references.shape[1]);
    const decoded = this.decoder.forward(content, selection.references, memory, words, this.boxHeads);
    const layers = decoded.hidden.map((hidden, i) => this.predictions(hidden, decoded.from[i]!, words, i));
    return {
      ...layers.at(-1)!,
      aux_outputs: layers.slice(0, -1),
      proposals: chosenProposals(selection),
      intermediates: stages.all(() => ({
        ...describeInput(maps, image),
        ...describeText(text),
        ...describeEncoding(encoded),
        ...describeDecoding(selection, decoded),
        decoder_input: content,
        // What transformers compares with the targets in place of the proposals.
        encoder_logits: this.selection.tokenLogits.forward(content, text.sequence),
      })),
    };
  }

  /** Logits and boxes of the last decoder layer, by a compiled function: what detecting needs. */
  predict({ pixels, pixelMask, inputIds, textMask }: DetectorInput): Prediction {
    return this.predictor({ pixels, pixelMask, inputIds, textMask });
  }

  override dispose(): void {
    super.dispose();
    this.predictor.dispose();
  }

  private read({ inputIds, textMask }: DetectorInput, mode: TextEncoderOptions): ReadText {
    const layout = phraseLayout(inputIds, this.options.delimiters);
    const encoded = this.textEncoder.encode(inputIds, layout.attention, {
      ...mode,
      positions: layout.positions,
    });
    const tokens = this.textProjection.forward(encoded) as tf.Tensor3D;
    return { layout, encoded, sequence: { tokens, mask: textMask } };
  }

  private firstContent(batch: number, queries: number): tf.Tensor3D {
    const content = tf.slice(this.queryContent, [0, 0], [queries, -1]);
    return tf.tile(tf.expandDims(content, 0), [batch, 1, 1]) as tf.Tensor3D;
  }

  private predictions(
    hidden: tf.Tensor3D,
    from: tf.Tensor3D,
    words: TextSequence,
    layer: number,
  ): LayerOutput {
    const moved = tf.add(this.boxHeads[layer]!.forward(hidden), inverseSigmoid(from, this.options.boxEps));
    return {
      pred_logits: this.classHeads[layer]!.forward(hidden, words),
      pred_boxes: tf.sigmoid(moved) as tf.Tensor3D,
    };
  }
}

function chosenProposals({ logits, boxLogits, chosen }: Selection): LayerOutput {
  return {
    pred_logits: tf.gather(logits, chosen, 1, 1) as tf.Tensor3D,
    pred_boxes: tf.sigmoid(boxLogits) as tf.Tensor3D,
  };
}

function describeText({ layout, encoded, sequence }: ReadText): Record<string, tf.Tensor> {
  return {
    bert: encoded,
    text_features: sequence.tokens,
    text_self_attention: layout.attention,
    text_positions: layout.positions,
  };
}

function describeEncoding(encoded: readonly EncodedLayer[]): Record<string, tf.Tensor> {
  const values = encoded.map(({ fused, image, text }, i) => ({
    [`encoder.${i}.fusion_vision`]: fused.image,
    [`encoder.${i}.fusion_text`]: fused.text,
    [`encoder.${i}.vision`]: image,
    [`encoder.${i}.text`]: text,
  }));
  return Object.assign({}, ...values) as Record<string, tf.Tensor>;
}

function describeDecoding(selection: Selection, decoded: DecoderOutput): Record<string, tf.Tensor> {
  const values: Record<string, tf.Tensor> = {
    enc_outputs_class: selection.logits,
    enc_outputs_coord_logits: selection.allBoxLogits(),
    topk_proposals: selection.chosen,
    reference_points: selection.references,
    encoder_pred_boxes: selection.references,
    intermediate_hidden_states: tf.stack(decoded.hidden, 1),
    intermediate_reference_points: tf.stack(decoded.references, 1),
  };
  decoded.positions.forEach((position, i) => {
    values[`query_position.${i}`] = position;
  });
  return values;
}
