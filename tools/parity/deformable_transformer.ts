// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import {
  Decoder,
  DeformableDetr,
  type DeformableDetrOptions,
  type DeformableDetrOutput,
  detrNames,
  Encoder,
  type PictureInput,
} from '../../src/models/deformable_detr/index.js';
import { encoderReferencePoints, type LevelSequence } from '../../src/models/deformable_encoder.js';
import { Linear } from '../../src/models/layers/basic.js';
import { validRatio } from '../../src/models/level_projection.js';
import { Module } from '../../src/models/module.js';
import type { NameMap } from '../../src/models/weights/name_map.js';
import { readSafetensorsSync, type StoredTensor } from '../../src/models/weights/safetensors.js';
import { loadStateDict, saveStateDict } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';
import { formulaTensor } from './formula.js';
import { compareGradientsOf } from './gradients.js';
import { detrStandInNames, STAND_IN_WIDTHS, StandInBackbone } from './stand_in.js';

interface TransformerConfig {
  d_model: number;
  nhead: number;
  enc_layers: number;
  dec_layers: number;
  dim_feedforward: number;
  enc_n_points: number;
  dec_n_points: number;
  queries: number;
  /** Whole detectors alone. */
  levels?: number;
  classes?: number;
  box_refine?: boolean;
  two_stage?: boolean;
}

function optionsOf(config: TransformerConfig, levels: number): DeformableDetrOptions {
  const { box_refine: boxRefine = false, two_stage: twoStage = false } = config;
  return {
    dModel: config.d_model,
    encoderLayers: config.enc_layers,
    encoderHeads: config.nhead,
    encoderPoints: config.enc_n_points,
    encoderFfn: config.dim_feedforward,
    decoderLayers: config.dec_layers,
    decoderHeads: config.nhead,
    decoderPoints: config.dec_n_points,
    decoderFfn: config.dim_feedforward,
    levels,
    queries: config.queries,
    classes: config.classes ?? 1,
    boxRefine,
    twoStage,
    sharedClassHead: !boxRefine,
  };
}

/** Deformable DETR by its original code: the transformer alone, or all of it over a small backbone. */
export function runDeformableTransformer(context: CaseContext): void {
  if (context.has('in/src0')) runTransformer(context);
  else runModel(context);
}

// ---- The transformer alone ----

/** Encoder, decoder and reference points, without a backbone and heads. */
class Transformer extends Module {
  readonly levelEmbed: tf.Variable;
  private readonly encoder: Encoder;
  private readonly decoder: Decoder;
  private readonly points: Linear;

  constructor(options: DeformableDetrOptions) {
    super();
    this.levelEmbed = this.parameter('model.level_embed', {
      shape: [options.levels, options.dModel],
      init: { kind: 'zeros' },
    });
    this.encoder = this.child('model.encoder', new Encoder(options));
    this.decoder = this.child('model.decoder', new Decoder(options));
    this.points = this.child('model.reference_points', new Linear(options.dModel, 2));
  }

  forward(image: LevelSequence, queries: tf.Tensor): Record<string, tf.Tensor> {
    const memory = this.encoder.forward(image).at(-1)!;
    const batch = memory.shape[0];
    const each = (x: tf.Tensor) => tf.tile(tf.expandDims(x, 0), [batch, 1, 1]) as tf.Tensor3D;
    const [position, content] = tf.split(queries, 2, 1) as [tf.Tensor, tf.Tensor];
    const first = each(tf.sigmoid(this.points.forward(position)));
    const none = { forward: (x: tf.Tensor) => tf.zeros([...x.shape.slice(0, 2), 4]) };
    const heads = Array.from({ length: 8 }, () => none) as unknown as Parameters<Decoder['forward']>[4];
    const decoded = this.decoder.forward(
      each(content),
      each(position),
      first,
      { ...image, tokens: memory },
      heads,
    );
    return {
      encoder_reference_points: encoderReferencePoints(image),
      valid_ratios: image.validRatios!,
      memory,
      init_reference: first,
      inter_references: tf.stack(decoded.references),
      hs: tf.stack(decoded.hidden),
    };
  }
}

/** The original's names without `transformer.` in front. */
function bareNames(): NameMap {
  const names = detrNames('resnet').find(({ origin }) => origin === 'original')!;
  return {
    ...names,
    place: (own) => {
      const place = names.place(own);
      return { ...place, name: place.name.replace(/^transformer\./, '') };
    },
  };
}

function runTransformer(context: CaseContext): void {
  const config = context.config as unknown as TransformerConfig;
  const levels = context.names('in/src').length;
  const names = bareNames();
  const model = new Transformer(optionsOf(config, levels));
  loadStateDict(model, readSafetensorsSync(context.fileLike('.weights.safetensors')), { names });
  const maps: Record<string, tf.Variable> = {};
  for (let i = 0; i < levels; i++) maps[`src${i}`] = nhwcVariable(context, `in/src${i}`);
  const queries = context.variable('in/query_embed');
  const forward = () => model.forward(sequenceOf(context, Object.values(maps), model.levelEmbed), queries);
  compareAll(context, context.compute(forward));
  compareGradientsOf(context, model, () => upstreamLoss(context, forward()), {
    names,
    maps,
    plain: { query_embed: queries },
  });
  tf.dispose(maps);
  model.dispose();
}

function nhwcVariable(context: CaseContext, name: string): tf.Variable {
  return tf.variable(tf.transpose(context.tensor(name), [0, 2, 3, 1]));
}

function sequenceOf(context: CaseContext, maps: readonly tf.Tensor[], levelEmbed: tf.Tensor): LevelSequence {
  const flat = (x: tf.Tensor) => x.reshape([x.shape[0]!, -1, ...x.shape.slice(3)]);
  const masks = maps.map(
    (_, i) => tf.sub(1, context.tensor(`in/mask${i}`, 'float32')) as tf.Tensor3D, // 1 = real
  );
  const positions = maps.map((_, i) => {
    const sine = flat(tf.transpose(context.tensor(`in/pos${i}`), [0, 2, 3, 1]));
    return tf.add(sine, tf.slice(levelEmbed, [i, 0], [1, -1]));
  });
  return {
    tokens: tf.concat(maps.map(flat), 1) as tf.Tensor3D,
    position: tf.concat(positions, 1) as tf.Tensor3D,
    spatialShapes: maps.map(({ shape }) => [shape[1]!, shape[2]!]),
    mask: tf.concat(masks.map(flat), 1) as tf.Tensor2D,
    validRatios: tf.stack(masks.map(validRatio), 1) as tf.Tensor3D,
  };
}

/** Gradients belong to the sum of outputs times what is stored for them. */
function upstreamLoss(context: CaseContext, values: Readonly<Record<string, tf.Tensor>>): tf.Scalar {
  const names = context.names('in/upstream.').map((name) => name.slice('in/upstream.'.length));
  const terms = names.map((name) => tf.sum(tf.mul(values[name]!, context.tensor(`in/upstream.${name}`))));
  return tf.addN(terms) as tf.Scalar;
}

function compareAll(context: CaseContext, values: Readonly<Record<string, tf.Tensor>>): void {
  for (const [name, value] of Object.entries(values)) context.compare(`out/${name}`, value);
}

// ---- Whole detectors ----

function runModel(context: CaseContext): void {
  const config = context.config as unknown as TransformerConfig;
  const weights = context.entry.files.find((file) => file.endsWith('.weights.safetensors'));
  const model = new DeformableDetr(
    new StandInBackbone(STAND_IN_WIDTHS, Math.min(2, config.levels!)),
    optionsOf(config, config.levels!),
  );
  try {
    const names = detrStandInNames();
    const tensors = weights ? readSafetensorsSync(context.file(weights)) : formulaWeights(model, names);
    loadStateDict(model, tensors, { names });
    const image = nhwcVariable(context, 'in/image');
    const input = {
      pixels: image as tf.Tensor as tf.Tensor4D,
      pixelMask: tf.sub(1, context.tensor('in/mask', 'float32')) as tf.Tensor3D,
    };
    const forward = (some: PictureInput) => {
      return detectorValues(model, some, model.forward(some, { intermediates: true }));
    };
    compareAll(
      context,
      context.compute(() => forward(input)),
    );
    compareGradientsOf(context, model, () => upstreamLoss(context, forward(input)), {
      names,
      maps: { image },
    });
    image.dispose();
  } finally {
    model.dispose();
  }
}

/** Every parameter by the formula, under the original repository's names; one of several names has the first. */
export function formulaWeights(model: Module, names: NameMap): Map<string, StoredTensor> {
  const own = saveStateDict(model, { names });
  return new Map([...own].map(([name, { shape }]) => [name, formulaTensor(name, shape)]));
}

/** What cases may hold of a detector, by their names. */
export function detectorValues(
  model: DeformableDetr,
  { pixels }: PictureInput,
  output: DeformableDetrOutput,
): Record<string, tf.Tensor> {
  const { intermediates, aux_outputs: aux, enc_outputs: proposals } = output;
  const [batch, height, width] = pixels.shape;
  const { dModel, encoderLayers } = model.options;
  const values: Record<string, tf.Tensor> = {
    memory: intermediates[`encoder_layer.${encoderLayers - 1}`]!,
    hs: tf.transpose(intermediates.intermediate_hidden_states!, [1, 0, 2, 3]),
    inter_references: tf.transpose(intermediates.intermediate_reference_points!, [1, 0, 2, 3]),
    init_reference: intermediates.reference_points!,
    pred_logits: output.pred_logits,
    pred_boxes: output.pred_boxes,
  };
  if (aux.length > 0) {
    values.aux_logits = tf.stack(aux.map(({ pred_logits }) => pred_logits));
    values.aux_boxes = tf.stack(aux.map(({ pred_boxes }) => pred_boxes));
  }
  let at = 0;
  model.spatialShapes(width, height).forEach(([h, w], i) => {
    const tokens = tf.slice(intermediates.encoder_input!, [0, at, 0], [-1, h * w, -1]);
    values[`proj${i}`] = tf.transpose(tokens.reshape([batch, h, w, dModel]), [0, 3, 1, 2]);
    at += h * w;
  });
  if (proposals) {
    values.enc_boxes = proposals.pred_boxes;
    values.topk_proposals = intermediates.topk_proposals!;
  }
  return values;
}
