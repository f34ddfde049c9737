// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Backbone, buildBackbone } from '../../src/models/backbones/index.js';
import {
  Mdetr,
  MdetrGUpstream,
  mdetrNames,
  mdetrNamesWith,
  type SoftTokenDetector,
  type SoftTokenOptions,
  type SoftTokenOutput,
} from '../../src/models/mdetr/index.js';
import { buildTextEncoder } from '../../src/models/text/index.js';
import type { DetectorInput } from '../../src/models/types.js';
import type { NameMap } from '../../src/models/weights/name_map.js';
import { readSafetensorsSync, type StoredTensor } from '../../src/models/weights/safetensors.js';
import { loadStateDict, saveStateDict } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';
import { formulaTensor } from './formula.js';
import { compareGradientsOf } from './gradients.js';
import { STAND_IN_NAMES, StandInBackbone } from './stand_in.js';

interface ModelConfig {
  /** `tiny`, the stand-in, or torchvision's name of a ResNet. */
  backbone?: string;
  d_model: number;
  nhead: number;
  enc_layers: number;
  dec_layers: number;
  dim_feedforward: number;
  queries: number;
  hdim: number;
  text: { kind?: 'roberta' | 'bert'; hidden_size: number; layers: number; heads: number; ffn: number };
  contrastive_loss: boolean;
  /** MDETR-G alone. */
  transformer_type?: 'deformable' | 'vanilla';
  levels?: number;
  points?: number;
  /** Without "no object". */
  classes?: number;
  text_cross_attn?: boolean;
  cls_scale_mode?: 'learnable' | 'off';
  align_scale_mode?: 'learnable' | 'hardcoded';
}

type Model = SoftTokenDetector<SoftTokenOptions>;

/** Channels of the stand-in backbones. */
const WIDTHS = { mdetr: [8, 12, 16, 24], mdetr_g: [8, 12, 16, 24, 20] };
/** Sizes of the text encoders of MDETR's cases, where no weights tell them. */
const TEXT_SIZES = { vocab_size: 1400, max_position_embeddings: 80 };

/** The stand-in stands one level higher than the backbones of the repository. */
const STAND_IN = mdetrNamesWith(STAND_IN_NAMES, 'backbone.0.');
/** Names of torchvision. */
const RESNET = mdetrNames('resnet').find(({ hallmark }) => hallmark.test('backbone.0.body.layer1.0.conv1.'))!;

/** A whole MDETR, or MDETR-G as published: values inside, predictions, gradients. */
export async function runMdetrModel(context: CaseContext): Promise<void> {
  const config = context.config as unknown as ModelConfig;
  const weights = context.entry.files.find((file) => file.endsWith('.weights.safetensors'));
  const stored = weights ? readSafetensorsSync(context.file(weights)) : null;
  const names = isResNet(config) ? RESNET : STAND_IN;
  const model = buildCase(config, stored);
  try {
    loadStateDict(model, stored ?? formulaWeights(model, names), { names });
    const input = inputOf(context);
    const forward = (some: DetectorInput) =>
      context.compute(() => model.forward(some, null, { intermediates: true }));
    compareOutput(context, forward(input));
    if (context.raw('in/mask').data.every((value) => Number(value) === 0)) {
      compareOutput(context, forward({ ...input, pixelMask: null }));
    }
    compareGradients(context, model, input, names);
  } finally {
    model.dispose();
  }
}

/** Every parameter by the formula, under the original repository's names. */
function formulaWeights(model: Model, names: NameMap): Map<string, StoredTensor> {
  const own = saveStateDict(model, { names });
  return new Map([...own].map(([name, { shape }]) => [name, formulaTensor(name, shape)]));
}

function buildCase(config: ModelConfig, stored: ReadonlyMap<string, StoredTensor> | null): Model {
  const common = {
    dModel: config.d_model,
    heads: config.nhead,
    encoderLayers: config.enc_layers,
    decoderLayers: config.dec_layers,
    ffn: config.dim_feedforward,
    queries: config.queries,
    slots: (config.classes ?? 255) + 1,
    alignDim: config.hdim,
    align: true,
    pooled: config.contrastive_loss,
  };
  const text = textEncoderOf(config, stored);
  if (!config.transformer_type) return new Mdetr(backboneOf(config), text, common);
  const levels = config.transformer_type === 'vanilla' ? 1 : config.levels!;
  return new MdetrGUpstream(new StandInBackbone(WIDTHS.mdetr_g, levels), text, {
    ...common,
    kind: config.transformer_type,
    levels,
    points: config.points!,
    textAttention: config.text_cross_attn!,
    classScale: config.cls_scale_mode!,
    alignScale: config.align_scale_mode ?? 'learnable',
  });
}

function isResNet({ backbone = '' }: ModelConfig): boolean {
  return backbone.startsWith('resnet');
}

function backboneOf(config: ModelConfig): Backbone {
  if (!isResNet(config)) return new StandInBackbone(WIDTHS.mdetr, 1);
  const name = config.backbone!.replace('resnet', 'resnet-');
  return buildBackbone(name, { out_features: ['stage4'] });
}

function textEncoderOf({ text }: ModelConfig, stored: ReadonlyMap<string, StoredTensor> | null) {
  const rows = (table: string, missing: number) =>
    stored?.get(`transformer.text_encoder.embeddings.${table}_embeddings.weight`)?.shape[0] ?? missing;
  return buildTextEncoder(text.kind ?? 'roberta', {
    vocab_size: rows('word', TEXT_SIZES.vocab_size),
    max_position_embeddings: rows('position', TEXT_SIZES.max_position_embeddings),
    hidden_size: text.hidden_size,
    num_hidden_layers: text.layers,
    num_attention_heads: text.heads,
    intermediate_size: text.ffn,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
  });
}

/** As the model takes it; captions are cut where the stored values are. */
function inputOf(context: CaseContext): DetectorInput {
  const tokens = context.raw('out/text_features').shape[1]!;
  const cut = (x: tf.Tensor) => tf.slice(x, [0, 0], [-1, tokens]) as tf.Tensor2D;
  return {
    pixels: tf.transpose(context.tensor<tf.Tensor4D>('in/image'), [0, 2, 3, 1]),
    pixelMask: tf.sub(1, context.tensor('in/mask', 'float32')) as tf.Tensor3D,
    inputIds: cut(context.tensor('in/input_ids', 'int32')),
    textMask: cut(context.tensor('in/attention_mask', 'float32')),
  };
}

/** Everything that a case may hold, by its names. */
function valuesOf(output: SoftTokenOutput): Record<string, tf.Tensor> {
  const { intermediates, aux_outputs: aux, pooled } = output;
  const values: Record<string, tf.Tensor> = {
    ...intermediates,
    pred_logits: output.pred_logits,
    pred_boxes: output.pred_boxes,
    proj_queries: output.proj_queries!,
    proj_tokens: output.proj_tokens!,
    logit_scale_align: tf.div(1, output.tau),
  };
  if (aux.length > 0) {
    values.aux_boxes = tf.stack(aux.map(({ pred_boxes }) => pred_boxes));
    values.aux_proj_queries = tf.stack(aux.map(({ proj_queries }) => proj_queries!));
  }
  if (intermediates.mask) values.mask = tf.sub(1, intermediates.mask);
  if (intermediates.proj) values.proj = tf.transpose(intermediates.proj, [0, 3, 1, 2]);
  if (pooled) Object.assign(values, { text_pooled_op: pooled.text, img_pooled_op: pooled.image });
  return values;
}

function compareOutput(context: CaseContext, output: SoftTokenOutput): void {
  for (const [name, value] of Object.entries(valuesOf(output))) context.compare(`out/${name}`, value);
}

function compareGradients(context: CaseContext, model: Model, input: DetectorInput, names: NameMap): void {
  const pixels = tf.variable(input.pixels);
  const upstream = context.names('in/upstream.').map((name) => name.slice('in/upstream.'.length));
  const loss = () => {
    const values = valuesOf(model.forward({ ...input, pixels: pixels as tf.Tensor as tf.Tensor4D }));
    const terms = upstream.map((name) =>
      tf.sum(tf.mul(values[name]!, context.tensor(`in/upstream.${name}`))),
    );
    return tf.addN(terms) as tf.Scalar;
  };
  compareGradientsOf(context, model, loss, { names, maps: { image: pixels } });
  pixels.dispose();
}
