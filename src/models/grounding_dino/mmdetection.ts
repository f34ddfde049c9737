// SPDX-License-Identifier: Apache-2.0
import { backboneLayout, backboneNames } from '../backbones/index.js';
import type { GroundingDinoConfig } from '../config.js';
import { type OriginalFile, originalDeformableSizes, readOriginal } from '../original_config.js';
import { IMAGENET } from '../preprocess.js';
import { TEXT_NAMES } from '../text/index.js';
import type { Arrangement } from '../weights/arrangement.js';
import {
  applyRules,
  type Dropped,
  joinNames,
  type NameMap,
  type NameRule,
  nestNames,
  type PlaceInFile,
  packedPlace,
} from '../weights/name_map.js';
import { BACKBONE, TEXT } from './names.js';
import { epsOf, USUAL_EPS } from './original.js';
import { BERT_DELIMITERS } from './presets.js';

const BODY = 'language_model.language_backbone.body.model.';

/** From our names; first that fits. What is numbered otherwise is not here. */
const RULES: readonly NameRule[] = [
  [/^model\.text_projection\./, 'text_feat_map.'],
  [/^model\.query_position_embeddings\./, 'query_embedding.'],
  [/^model\.enc_output\./, 'memory_trans_fc.'],
  [/^model\.enc_output_norm\./, 'memory_trans_norm.'],
  [/\.layers(\.\d+)\.fusion_layer\.vision_param$/, '.fusion_layers$1.gamma_v'],
  [/\.layers(\.\d+)\.fusion_layer\.text_param$/, '.fusion_layers$1.gamma_l'],
  [/\.layers(\.\d+)\.fusion_layer\.layer_norm_vision\./, '.fusion_layers$1.layer_norm_v.'],
  [/\.layers(\.\d+)\.fusion_layer\.layer_norm_text\./, '.fusion_layers$1.layer_norm_l.'],
  [/\.layers(\.\d+)\.fusion_layer\.attn\.(\w*)vision_proj\./, '.fusion_layers$1.attn.$2v_proj.'],
  [/\.layers(\.\d+)\.fusion_layer\.attn\.(\w*)text_proj\./, '.fusion_layers$1.attn.$2l_proj.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.layer_norm_before\./, '.text_layers$1.norms.0.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.layer_norm_after\./, '.text_layers$1.norms.1.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.fc1\./, '.text_layers$1.ffn.layers.0.0.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.fc2\./, '.text_layers$1.ffn.layers.1.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.self_attn\./, '.text_layers$1.self_attn.attn.'],
  [/\.deformable_layer\.self_attn_layer_norm\./, '.norms.0.'],
  [/\.deformable_layer\.final_layer_norm\./, '.norms.1.'],
  [/\.deformable_layer\.fc1\./, '.ffn.layers.0.0.'],
  [/\.deformable_layer\.fc2\./, '.ffn.layers.1.'],
  [/\.deformable_layer\./, '.'],
  [/(\.decoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norms.0.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_text_layer_norm\./, '$1.norms.1.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_layer_norm\./, '$1.norms.2.'],
  [/(\.decoder\.layers\.\d+)\.final_layer_norm\./, '$1.norms.3.'],
  [/(\.decoder\.layers\.\d+)\.fc1\./, '$1.ffn.layers.0.0.'],
  [/(\.decoder\.layers\.\d+)\.fc2\./, '$1.ffn.layers.1.'],
  [/(\.decoder\.layers\.\d+)\.self_attn\./, '$1.self_attn.attn.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_text\./, '$1.cross_attn_text.attn.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn\./, '$1.cross_attn.'],
  [/^model\.decoder\.layer_norm\./, 'model.decoder.norm.'],
  [/^model\.decoder\.reference_points_head\./, 'model.decoder.ref_point_head.'],
];

const DROPPED: readonly Dropped[] = [
  { names: /^dn_query_generator\./, why: 'noised queries of the training' },
  { names: /^data_preprocessor\./, why: 'mean and deviation of pixels, which the configuration has' },
  { names: /^ema_/, why: 'averages beside the weights' },
  { names: /^(lmm|connector|region_connector|image_seperate)\b/, why: 'language model of a training' },
  { names: /^ref_point_head\./, why: "a copy of the decoder's" },
];

/** A number that the file has as a list of one. */
const LIST_OF_ONE: Arrangement = { shape: () => [1] };

const BOX_HEAD = /^(?:model\.decoder\.|model\.encoder_output_)?bbox_embed\.(?:(\d+)\.)?layers\.(\d+)\.(\w+)$/;
const CLASS_HEAD = /^(?:model\.decoder\.|model\.encoder_output_)?class_embed\.(?:(\d+)\.)?(\w+)$/;

/** Heads are numbered: those of the decoder's layers, then the encoder's. */
function headPlace(own: string, decoderLayers: number): PlaceInFile | null {
  const box = BOX_HEAD.exec(own);
  if (box) {
    // Every second layer is an activation.
    const [, layer = decoderLayers, linear, what] = box;
    return { name: `bbox_head.reg_branches.${layer}.${2 * Number(linear)}.${what}` };
  }
  const [found, layer = decoderLayers, what] = CLASS_HEAD.exec(own) ?? [];
  return found === undefined
    ? null
    : { name: `bbox_head.cls_branches.${layer}.${what}`, arrangement: LIST_OF_ONE };
}

/** Projections of the backbone's maps, then of those that are made of them. */
function neckPlace(own: string, maps: number): PlaceInFile | null {
  const found = /^model\.input_proj_vision\.(\d+)\.([01])\.(\w+)$/.exec(own);
  if (!found) return null;
  const level = Number(found[1]);
  const stack = level < maps ? `convs.${level}` : `extra_convs.${level - maps}`;
  return { name: `neck.${stack}.${found[2] === '0' ? 'conv' : 'gn'}.${found[3]}` };
}

/** Everything but backbone and text encoder. @param maps of the backbone */
function restOf(maps: number, decoderLayers: number): Omit<NameMap, 'hallmark'> {
  return {
    origin: 'mmdetection',
    dropped: DROPPED,
    place: (own) => {
      const special = headPlace(own, decoderLayers) ?? neckPlace(own, maps);
      if (special) return special;
      const name = applyRules(RULES, own).replace(/^model\./, '');
      const packed = /^(.*\.attn)\.(query|key|value)\.(\w+)$/.exec(name);
      return packed ? packedPlace(`${packed[1]}.in_proj_${packed[3]}`, packed[2]!) : { name };
    },
  };
}

/** Ways of naming a backbone that mmdetection has: its own, and torchvision's where it has none. */
const BACKBONE_ORIGINS = ['mmdetection', 'torchvision'];

/** How checkpoints of mmdetection's Grounding DINO and MM-Grounding-DINO are named. */
export function mmdetectionNames({ backbone, transformer }: GroundingDinoConfig): readonly NameMap[] {
  const [text] = TEXT_NAMES;
  const maps = backboneLayout(backbone.name, backbone.config).channels.length;
  const rest = restOf(maps, transformer.decoderLayers);
  const known = backboneNames(backbone.name);
  const inner = BACKBONE_ORIGINS.flatMap((wanted) => known.find(({ origin }) => origin === wanted) ?? [])[0];
  if (!inner) return [];
  return [
    joinNames(rest, [
      { own: BACKBONE, map: nestNames(inner, BACKBONE, 'backbone.') },
      { own: TEXT, map: nestNames(text, TEXT, BODY) },
    ]),
  ];
}

const LAYERS = { transformer: '', norm: 'norms.0', linear: 'ffn.layers.0.0' };

/** Tensors that every checkpoint has. */
const HALLMARKS = ['encoder.fusion_layers.0.gamma_v', 'bbox_head.reg_branches.0.0.weight'];

/** Whether these are the tensors of a Grounding DINO or MM-Grounding-DINO of mmdetection. */
export function isMmdetectionGroundingDino(tensors: OriginalFile['tensors']): boolean {
  return HALLMARKS.every((name) => tensors.has(name));
}

/**
 * The configuration of a checkpoint of mmdetection (https://github.com/open-mmlab/mmdetection, `configs/mm_grounding_dino` and
 * `configs/grounding_dino`). Shapes tell nearly all of it; the rest is as published.
 * @throws UserError for settings that are not supported
 */
export function mmdetectionGroundingDinoConfig(file: OriginalFile, source: string): GroundingDinoConfig {
  const read = readOriginal(file, source);
  if (read.has('bbox_head.cls_branches.0.log_scale'))
    read.fail(
      'its logits have a scale that is learned (bbox_head.cls_branches.0.log_scale), which is not supported',
    );
  const [queries = 0, dModel = 0] = read.shape('query_embedding.weight');
  const [levels = 0] = read.shape('level_embed');
  const scaled = read.has('bbox_head.cls_branches.0.bias');
  const text = read.textEncoder(BODY);
  const maps = read.count((i) => `neck.convs.${i}.conv.weight`);
  return {
    model_type: 'grounding-dino',
    preset: scaled ? 'mm-grounding-dino' : 'grounding-dino',
    backbone: read.backbone([read.behind('backbone.')], maps),
    text: { ...text, config: { ...text.config, add_pooling_layer: false } },
    preprocess: { ...IMAGENET, multiple: 1 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      ...originalDeformableSizes(read, { dModel, levels, queries }, LAYERS),
      textTokens: read.number('max_text_len', 256),
      logits: scaled ? 'scaled' : 'dot',
      sharedBoxHead: read.same('bbox_head.reg_branches.0.0.weight', 'bbox_head.reg_branches.1.0.weight'),
      sharedClassHead: !scaled || read.same('bbox_head.cls_branches.0.bias', 'bbox_head.cls_branches.1.bias'),
      temperature: 20,
      fusionDropPath: 0.1,
      ...epsOf(file, { referenceEps: 1e-3, boxEps: USUAL_EPS }),
      delimiters: [...BERT_DELIMITERS],
    },
  };
}
