// SPDX-License-Identifier: Apache-2.0
import { isDilated } from '../backbones/index.js';
import type { MdetrConfig, MdetrGUpstreamConfig } from '../config.js';
import {
  type OriginalFile,
  type OriginalReader,
  originalBackboneArgument,
  readOriginal,
} from '../original_config.js';
import { IMAGENET } from '../preprocess.js';
import type { TorchValue } from '../weights/torch/write.js';
import { BACKBONE } from './detector.js';
import { SATLAS_BACKBONE, TEXT } from './names.js';
import type { SoftTokenOptions } from './options.js';
import { answerHeads, QUESTION_SET_NAMES, type QuestionSet } from './questions.js';

/** Tensors that every checkpoint has. */
const HALLMARKS = ['transformer.resizer.fc.weight', 'class_embed.weight', 'query_embed.weight'];

/** Arguments of the original programs whose other values are not supported, and the one that is. */
const FIXED = { position_embedding: 'sine', pre_norm: false } as const;

/** A parameter that only MDETR-G has. */
const SCALE = 'logit_scale_cls';

/** Whether these are the tensors of a model of MDETR's or MDETR-G's repository. */
export function isOriginalMdetr(tensors: OriginalFile['tensors']): boolean {
  return prefixOf(tensors) !== null;
}

/** What models with a head for masks have in front of the detector's names. */
const MASKED = 'detr.';

function prefixOf(tensors: OriginalFile['tensors']): string | null {
  const fits = (prefix: string) => HALLMARKS.every((name) => tensors.has(prefix + name));
  return ['', MASKED].find(fits) ?? null;
}

/** The detector in a file. */
function detectorIn({ tensors, args }: OriginalFile): OriginalFile {
  const prefix = prefixOf(tensors) ?? '';
  const inside = [...tensors].filter(([name]) => name.startsWith(prefix));
  return { tensors: new Map(inside.map(([name, tensor]) => [name.slice(prefix.length), tensor])), args };
}

/**
 * The configuration of a checkpoint of MDETR (https://github.com/ashkamath/mdetr) or MDETR-G
 * (https://github.com/DarkSideii/mdetr_g). Shapes tell nearly all of it; heads of attention and modes of MDETR-G's scales come from
 * the program's arguments, or are its defaults.
 * @throws UserError for settings that are not supported
 */
export function originalMdetrConfig(file: OriginalFile, source: string): MdetrConfig | MdetrGUpstreamConfig {
  const read = readOriginal(detectorIn(file), source, FIXED);
  const deformable = read.has('transformer.level_embed');
  const levels = deformable ? read.shape('transformer.level_embed')[0]! : 1;
  const backbone = read.backbone([read.behind(BACKBONE), read.behind(SATLAS_BACKBONE)], levels);
  const common = {
    backbone,
    text: read.textEncoder(TEXT),
    // An EfficientNet looks at the size and at the whole of the padded picture.
    preprocess: { ...IMAGENET, multiple: backbone.name.startsWith('efficientnet') ? 1 : 32 },
    threshold: 0.5,
  };
  const transformer = sharedOptions(read);
  if (!read.has(SCALE))
    return {
      ...common,
      model_type: 'mdetr',
      preset: 'mdetr',
      imageSize: 800,
      transformer: { ...transformer, ...headsOf(read) },
    };
  return {
    ...common,
    model_type: 'mdetr-g-upstream',
    preset: 'mdetr-g-upstream',
    imageSize: 704,
    transformer: {
      ...transformer,
      kind: deformable ? 'deformable' : 'vanilla',
      levels,
      points: deformable
        ? read.points('transformer.encoder.layers.0.self_attn.mod', transformer.heads, levels)
        : read.number('deform_num_points', 4),
      textAttention: read.has('transformer.decoder.layers.0.cross_attn_txt.out_proj.weight'),
      classScale: read.choice('cls_scale_mode', ['learnable', 'off']),
      alignScale: read.choice('align_scale_mode', ['learnable', 'hardcoded']),
    },
  };
}

/** Heads that only some checkpoints have. */
function headsOf({ has }: OriginalReader): Pick<MdetrConfig['transformer'], 'questions' | 'final'> {
  const all = (set: QuestionSet) =>
    answerHeads(set).every(({ inFile, deep }) => has(`${inFile}.${deep ? 'layers.0.' : ''}weight`));
  const questions = QUESTION_SET_NAMES.find(all);
  return { ...(questions ? { questions } : {}), ...(has('isfinal_embed.weight') ? { final: true } : {}) };
}

function sharedOptions(read: OriginalReader): SoftTokenOptions {
  const [queries = 0, dModel = 0] = read.shape('query_embed.weight');
  const projection = 'contrastive_align_projection_image.weight';
  const align = read.has(projection);
  return {
    dModel,
    heads: read.number('nheads', 8),
    encoderLayers: read.layers('encoder'),
    decoderLayers: read.layers('decoder'),
    ffn: read.shape('transformer.encoder.layers.0.linear1.weight')[0]!,
    queries,
    slots: read.shape('class_embed.weight')[0]!,
    alignDim: align ? read.shape(projection)[0]! : 64,
    align,
    pooled: read.has('contrastive_projection_image.weight'),
  };
}

/** Arguments of the original programs that make this model, by their names there. */
export function originalMdetrArguments(
  config: MdetrConfig | MdetrGUpstreamConfig,
): Record<string, TorchValue> {
  const { transformer } = config;
  const backbone = originalBackboneArgument(config.backbone.name);
  const shared = {
    ...FIXED,
    ...(backbone === null ? {} : { backbone }),
    dilation: isDilated(config.backbone),
    hidden_dim: transformer.dModel,
    nheads: transformer.heads,
    enc_layers: transformer.encoderLayers,
    dec_layers: transformer.decoderLayers,
    dim_feedforward: transformer.ffn,
    num_queries: transformer.queries,
    contrastive_align_loss: transformer.align,
    contrastive_loss: transformer.pooled,
    contrastive_loss_hdim: transformer.alignDim,
  };
  if (config.model_type === 'mdetr') {
    const { questions, final = false } = config.transformer;
    const asked = {
      do_qa: true,
      split_qa_heads: questions !== 'gqa-whole',
      combine_datasets: [questions === 'clevr' ? 'clevr' : 'gqa'],
    };
    return { ...shared, predict_final: final, ...(questions ? asked : {}) };
  }
  const { kind, levels, points, textAttention, classScale, alignScale } = config.transformer;
  return {
    ...shared,
    transformer_type: kind,
    num_feature_levels: levels,
    deform_num_points: points,
    no_text_cross_attn: !textAttention,
    cls_scale_mode: classScale,
    align_scale_mode: alignScale,
  };
}
