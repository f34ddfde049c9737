// SPDX-License-Identifier: Apache-2.0
import { behind, both, type Listed } from './listed.js';

/** Sizes of a Grounding DINO. */
export interface Sizes {
  swin: { width: number; depths: number[]; heads: number[]; window: number; maps: number };
  bert: { words: number; places: number; width: number; layers: number; hidden: number; pooler: boolean };
  width: number;
  levels: number;
  points: number;
  encoder: { layers: number; heads: number; hidden: number };
  decoder: { layers: number; heads: number; hidden: number };
  queries: number;
  /** MM-Grounding-DINO. */
  bias: boolean;
}

/** MM-Grounding-DINO with Swin-T, as `configs/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365.py` sets it. */
export const MM_TINY: Sizes = {
  swin: { width: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24], window: 7, maps: 3 },
  bert: { words: 30522, places: 512, width: 768, layers: 12, hidden: 3072, pooler: false },
  width: 256,
  levels: 4,
  points: 4,
  encoder: { layers: 6, heads: 8, hidden: 2048 },
  decoder: { layers: 6, heads: 8, hidden: 2048 },
  queries: 900,
  bias: true,
};

/** `SwinTransformer`: mmdet/models/backbones/swin.py. */
function swin({ width, depths, heads, window, maps }: Sizes['swin']): Listed {
  const blocks = depths.flatMap((depth, stage) => {
    const c = width * 2 ** stage;
    const rows = depth > 0 ? (2 * window - 1) ** 2 : 0;
    const inside = Array.from({ length: depth }, (_, i): Listed => {
      const block = `stages.${stage}.blocks.${i}`;
      return [
        ...both(`${block}.norm1`, [c]),
        [`${block}.attn.w_msa.relative_position_bias_table`, [rows, heads[stage]!]],
        [`${block}.attn.w_msa.relative_position_index`, [window ** 2, window ** 2]],
        ...both(`${block}.attn.w_msa.qkv`, [3 * c, c]),
        ...both(`${block}.attn.w_msa.proj`, [c, c]),
        ...both(`${block}.norm2`, [c]),
        ...both(`${block}.ffn.layers.0.0`, [4 * c, c]),
        ...both(`${block}.ffn.layers.1`, [c, 4 * c]),
      ];
    }).flat();
    if (stage === depths.length - 1) return inside;
    const merging = `stages.${stage}.downsample`;
    return [
      ...inside,
      ...both(`${merging}.norm`, [4 * c]),
      [`${merging}.reduction.weight`, [2 * c, 4 * c]] as Listed[number],
    ];
  });
  const norms = depths
    .map((_, i) => i)
    .slice(-maps)
    .flatMap((i) => both(`norm${i}`, [width * 2 ** i]));
  const patches = [
    ...both('patch_embed.projection', [width, 3, 4, 4], [width]),
    ...both('patch_embed.norm', [width]),
  ];
  return [...patches, ...blocks, ...norms];
}

/** Hugging Face's `BertModel` in mmdet/models/language_models/bert.py. */
function bert({ words, places, width, layers, hidden, pooler }: Sizes['bert']): Listed {
  const parts = Array.from({ length: layers }, (_, i): Listed => {
    const layer = `encoder.layer.${i}`;
    const self = ['query', 'key', 'value'].flatMap((part) =>
      both(`${layer}.attention.self.${part}`, [width, width]),
    );
    return [
      ...self,
      ...both(`${layer}.attention.output.dense`, [width, width]),
      ...both(`${layer}.attention.output.LayerNorm`, [width]),
      ...both(`${layer}.intermediate.dense`, [hidden, width]),
      ...both(`${layer}.output.dense`, [width, hidden]),
      ...both(`${layer}.output.LayerNorm`, [width]),
    ];
  }).flat();
  return [
    ['embeddings.word_embeddings.weight', [words, width]],
    ['embeddings.position_embeddings.weight', [places, width]],
    ['embeddings.token_type_embeddings.weight', [2, width]],
    ...both('embeddings.LayerNorm', [width]),
    ...parts,
    ...(pooler ? both('pooler.dense', [width, width]) : []),
  ];
}

/** `MultiheadAttention` of mmcv, which has PyTorch's inside. */
const attention = (name: string, width: number): Listed => [
  [`${name}.attn.in_proj_weight`, [3 * width, width]],
  [`${name}.attn.in_proj_bias`, [3 * width]],
  ...both(`${name}.attn.out_proj`, [width, width]),
];

const sampling = (name: string, { width, levels, points }: Sizes, heads: number): Listed => [
  ...both(`${name}.sampling_offsets`, [heads * levels * points * 2, width]),
  ...both(`${name}.attention_weights`, [heads * levels * points, width]),
  ...both(`${name}.value_proj`, [width, width]),
  ...both(`${name}.output_proj`, [width, width]),
];

/** `FFN` of mmcv. */
const feedForward = (name: string, width: number, hidden: number): Listed => [
  ...both(`${name}.ffn.layers.0.0`, [hidden, width]),
  ...both(`${name}.ffn.layers.1`, [width, hidden]),
];

const norms = (name: string, count: number, width: number): Listed =>
  Array.from({ length: count }, (_, i) => both(`${name}.norms.${i}`, [width])).flat();

/** mmdet/models/layers/transformer/grounding_dino_layers.py, and `BiAttentionBlock` of mmdet/models/utils/vlfuse_helper.py. */
function encoderLayer(i: number, sizes: Sizes): Listed {
  const { width, encoder } = sizes;
  const [image, text, fusion] = ['layers', 'text_layers', 'fusion_layers'].map(
    (kind) => `encoder.${kind}.${i}`,
  );
  const inner = encoder.hidden / 2;
  const into = ['v_proj', 'l_proj', 'values_v_proj', 'values_l_proj'];
  return [
    ...sampling(`${image}.self_attn`, sizes, encoder.heads),
    ...feedForward(image!, width, encoder.hidden),
    ...norms(image!, 2, width),
    ...attention(`${text}.self_attn`, width),
    ...feedForward(text!, width, inner),
    ...norms(text!, 2, width),
    [`${fusion}.gamma_v`, [width]],
    [`${fusion}.gamma_l`, [width]],
    ...both(`${fusion}.layer_norm_v`, [width]),
    ...both(`${fusion}.layer_norm_l`, [width]),
    ...into.flatMap((name) => both(`${fusion}.attn.${name}`, [inner, width])),
    ...['out_v_proj', 'out_l_proj'].flatMap((name) => both(`${fusion}.attn.${name}`, [width, inner])),
  ];
}

function decoderLayer(i: number, sizes: Sizes): Listed {
  const { width, decoder } = sizes;
  const layer = `decoder.layers.${i}`;
  return [
    ...attention(`${layer}.self_attn`, width),
    ...attention(`${layer}.cross_attn_text`, width),
    ...sampling(`${layer}.cross_attn`, sizes, decoder.heads),
    ...feedForward(layer, width, decoder.hidden),
    ...norms(layer, 4, width),
  ];
}

/** `GroundingDINOHead`: a branch for each decoder layer and one for the encoder. */
function head(i: number, { width, bias }: Sizes): Listed {
  const boxes = `bbox_head.reg_branches.${i}`;
  return [
    ...(bias ? ([[`bbox_head.cls_branches.${i}.bias`, [1]]] as Listed) : []),
    ...both(`${boxes}.0`, [width, width]),
    ...both(`${boxes}.2`, [width, width]),
    ...both(`${boxes}.4`, [4, width]),
  ];
}

/** `ChannelMapper`: convolutions for the backbone's maps, and those of stride 2 behind them. */
function neck({ swin: { width: first, depths, maps }, width, levels }: Sizes): Listed {
  const channels = depths.map((_, i) => first * 2 ** i).slice(-maps);
  return Array.from({ length: levels }, (_, i): Listed => {
    const own = i < maps;
    const name = own ? `neck.convs.${i}` : `neck.extra_convs.${i - maps}`;
    const from = own ? channels[i]! : i === maps ? channels.at(-1)! : width;
    const side = own ? 1 : 3;
    return [...both(`${name}.conv`, [width, from, side, side], [width]), ...both(`${name}.gn`, [width])];
  }).flat();
}

/** The state dict of mmdetection's `GroundingDINO`: mmdet/models/detectors/grounding_dino.py. */
export function mmdetectionStateDict(sizes: Sizes): Listed {
  const { width, levels, queries, encoder, decoder } = sizes;
  const layers = <T>(count: number, of: (i: number) => T[]) =>
    Array.from({ length: count }, (_, i) => of(i)).flat();
  return [
    ['level_embed', [levels, width]],
    ...behind('backbone.', swin(sizes.swin)),
    ...neck(sizes),
    ...layers(decoder.layers + 1, (i) => head(i, sizes)),
    ...layers(encoder.layers, (i) => encoderLayer(i, sizes)),
    ...layers(decoder.layers, (i) => decoderLayer(i, sizes)),
    ...both('decoder.ref_point_head.layers.0', [width, 2 * width]),
    ...both('decoder.ref_point_head.layers.1', [width, width]),
    ...both('decoder.norm', [width]),
    ['query_embedding.weight', [queries, width]],
    ...both('memory_trans_fc', [width, width]),
    ...both('memory_trans_norm', [width]),
    ...behind('language_model.language_backbone.body.model.', bert(sizes.bert)),
    ...both('text_feat_map', [width, sizes.bert.width]),
    ['dn_query_generator.label_embedding.weight', [256, width]],
  ];
}
