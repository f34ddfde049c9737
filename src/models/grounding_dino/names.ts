// SPDX-License-Identifier: Apache-2.0
import { backboneNames } from '../backbones/index.js';
import { TEXT_NAMES } from '../text/index.js';
import {
  applyRules,
  type Dropped,
  joinNames,
  type NameMap,
  type NameRule,
  nestNames,
  packedPlace,
} from '../weights/name_map.js';

/** Where the parts with names of their own stand. */
export const BACKBONE = 'model.backbone.conv_encoder.model.';
export const TEXT = 'model.text_backbone.';

/** Names of the original repository's state dicts: from ours, before `model.` becomes `transformer.`. First that fits. */
const ORIGINAL: readonly NameRule[] = [
  [/^model\.text_projection\./, 'feat_map.'],
  [/^model\.input_proj_vision\./, 'input_proj.'],
  [/^model\.query_position_embeddings\./, 'model.tgt_embed.'],
  [/^model\.encoder_output_bbox_embed\./, 'model.enc_out_bbox_embed.'],
  [/(\.layers\.\d+)\.deformable_layer\.self_attn_layer_norm\./, '$1.norm1.'],
  [/(\.layers\.\d+)\.deformable_layer\.final_layer_norm\./, '$1.norm2.'],
  [/(\.layers\.\d+)\.deformable_layer\.fc([12])\./, '$1.linear$2.'],
  [/(\.layers\.\d+)\.deformable_layer\./, '$1.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.layer_norm_before\./, '.text_layers$1.norm1.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.layer_norm_after\./, '.text_layers$1.norm2.'],
  [/\.layers(\.\d+)\.text_enhancer_layer\.fc([12])\./, '.text_layers$1.linear$2.'],
  [
    /\.layers(\.\d+)\.text_enhancer_layer\.self_attn\.(?:query|key|value)\./,
    '.text_layers$1.self_attn.in_proj_',
  ],
  [/\.layers(\.\d+)\.text_enhancer_layer\./, '.text_layers$1.'],
  [/\.layers(\.\d+)\.fusion_layer\.vision_param$/, '.fusion_layers$1.gamma_v'],
  [/\.layers(\.\d+)\.fusion_layer\.text_param$/, '.fusion_layers$1.gamma_l'],
  [/\.layers(\.\d+)\.fusion_layer\.layer_norm_vision\./, '.fusion_layers$1.layer_norm_v.'],
  [/\.layers(\.\d+)\.fusion_layer\.layer_norm_text\./, '.fusion_layers$1.layer_norm_l.'],
  [/\.layers(\.\d+)\.fusion_layer\.attn\.(\w*)vision_proj\./, '.fusion_layers$1.attn.$2v_proj.'],
  [/\.layers(\.\d+)\.fusion_layer\.attn\.(\w*)text_proj\./, '.fusion_layers$1.attn.$2l_proj.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_layer_norm\./, '$1.norm1.'],
  [/(\.decoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norm2.'],
  [/(\.decoder\.layers\.\d+)\.final_layer_norm\./, '$1.norm3.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_text_layer_norm\./, '$1.catext_norm.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_text\.(?:query|key|value)\./, '$1.ca_text.in_proj_'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn_text\./, '$1.ca_text.'],
  [/(\.decoder\.layers\.\d+)\.encoder_attn\./, '$1.cross_attn.'],
  [/(\.decoder\.layers\.\d+\.self_attn)\.(?:query|key|value)\./, '$1.in_proj_'],
  [/(\.decoder\.layers\.\d+)\.fc([12])\./, '$1.linear$2.'],
  [/^model\.decoder\.layer_norm\./, 'model.decoder.norm.'],
  [/^model\.decoder\.reference_points_head\./, 'model.decoder.ref_point_head.'],
];

function originalName(own: string): string {
  return applyRules(ORIGINAL, own).replace(/^model\./, 'transformer.');
}

/** What files of either origin hold besides. */
const DROPPED: readonly Dropped[] = [{ names: /^label_enc\./, why: 'noised queries of the training' }];

/** Everything but backbone and text encoder, in files of the original repository. */
const original: Omit<NameMap, 'hallmark'> = {
  origin: 'original',
  place: (own) => {
    const part = /\.(?:self_attn|encoder_attn_text)\.(query|key|value)\./.exec(own)?.[1];
    return part === undefined ? { name: originalName(own) } : packedPlace(originalName(own), part);
  },
  dropped: DROPPED,
};

const huggingFace: Omit<NameMap, 'hallmark'> = {
  origin: 'Hugging Face',
  place: (name) => ({ name }),
  dropped: [],
};

/**
 * How checkpoints of Grounding DINO are named, the original repository's
 * (https://github.com/IDEA-Research/GroundingDINO) and Hugging Face's.
 * @param backbone a family or size
 */
export function groundingDinoNames(backbone: string): readonly NameMap[] {
  const [text] = TEXT_NAMES;
  return backboneNames(backbone).flatMap((inner) => [
    joinNames(huggingFace, [
      { own: BACKBONE, map: nestNames(inner, BACKBONE, BACKBONE) },
      { own: TEXT, map: nestNames(text, TEXT, TEXT) },
    ]),
    joinNames(original, [
      { own: BACKBONE, map: nestNames(inner, BACKBONE, 'backbone.0.') },
      { own: TEXT, map: nestNames(text, TEXT, 'bert.') },
    ]),
  ]);
}
