// SPDX-License-Identifier: Apache-2.0
import { behind, both, type Listed } from './listed.js';

/** Sizes of an MDETR on a ResNet of basic blocks, one a stage. */
export interface MdetrSizes {
  resnet: number[];
  text: { words: number; places: number; width: number; layers: number; hidden: number };
  width: number;
  ffn: number;
  encoder: number;
  decoder: number;
  queries: number;
  align: boolean;
}

/** torchvision's ResNet in models/backbone.py, with norms that do not change. */
function resnet(widths: readonly number[]): Listed {
  const norm = (name: string, width: number): Listed =>
    ['weight', 'bias', 'running_mean', 'running_var'].map((part) => [`${name}.${part}`, [width]]);
  const layers = widths.map((width, i): Listed => {
    const from = widths[i - 1] ?? width;
    const block = `layer${i + 1}.0`;
    return [
      [`${block}.conv1.weight`, [width, from, 3, 3]],
      ...norm(`${block}.bn1`, width),
      [`${block}.conv2.weight`, [width, width, 3, 3]],
      ...norm(`${block}.bn2`, width),
      ...(from === width
        ? []
        : ([
            [`${block}.downsample.0.weight`, [width, from, 1, 1]],
            ...norm(`${block}.downsample.1`, width),
          ] as Listed)),
    ];
  });
  return [['conv1.weight', [widths[0]!, 3, 7, 7]], ...norm('bn1', widths[0]!), ...layers.flat()];
}

/** Hugging Face's RobertaModel of transformers 4.5. */
function roberta({ words, places, width, layers, hidden }: MdetrSizes['text']): Listed {
  const all = Array.from({ length: layers }, (_, i): Listed => {
    const layer = `encoder.layer.${i}`;
    return [
      ...['query', 'key', 'value'].flatMap((part) => both(`${layer}.attention.self.${part}`, [width, width])),
      ...both(`${layer}.attention.output.dense`, [width, width]),
      ...both(`${layer}.attention.output.LayerNorm`, [width]),
      ...both(`${layer}.intermediate.dense`, [hidden, width]),
      ...both(`${layer}.output.dense`, [width, hidden]),
      ...both(`${layer}.output.LayerNorm`, [width]),
    ];
  });
  return [
    ['embeddings.position_ids', [1, places]],
    ['embeddings.word_embeddings.weight', [words, width]],
    ['embeddings.position_embeddings.weight', [places, width]],
    ['embeddings.token_type_embeddings.weight', [1, width]],
    ...both('embeddings.LayerNorm', [width]),
    ...all.flat(),
    ...both('pooler.dense', [width, width]),
  ];
}

const attention = (name: string, width: number): Listed => [
  [`${name}.in_proj_weight`, [3 * width, width]],
  [`${name}.in_proj_bias`, [3 * width]],
  ...both(`${name}.out_proj`, [width, width]),
];

/** models/transformer.py */
function transformer({ width, ffn, encoder, decoder, text }: MdetrSizes): Listed {
  const layer = (name: string, attentions: string[], norms: string[]): Listed => [
    ...attentions.flatMap((part) => attention(`${name}.${part}`, width)),
    ...both(`${name}.linear1`, [ffn, width]),
    ...both(`${name}.linear2`, [width, ffn]),
    ...norms.flatMap((part) => both(`${name}.${part}`, [width])),
  ];
  const stack = (count: number, of: (i: number) => Listed) =>
    Array.from({ length: count }, (_, i) => of(i)).flat();
  return [
    ...stack(encoder, (i) => layer(`encoder.layers.${i}`, ['self_attn'], ['norm1', 'norm2'])),
    ...stack(decoder, (i) =>
      layer(`decoder.layers.${i}`, ['self_attn', 'cross_attn_image'], ['norm1', 'norm3', 'norm4']),
    ),
    ...both('decoder.norm', [width]),
    ...behind('text_encoder.', roberta(text)),
    ...both('resizer.fc', [width, text.width]),
    ...both('resizer.layer_norm', [width]),
  ];
}

/** models/mdetr.py */
export function mdetrStateDict(sizes: MdetrSizes): Listed {
  const { width, queries, align, resnet: widths } = sizes;
  return [
    ...behind('transformer.', transformer(sizes)),
    ...both('class_embed', [256, width]),
    ...both('bbox_embed.layers.0', [width, width]),
    ...both('bbox_embed.layers.1', [width, width]),
    ...both('bbox_embed.layers.2', [4, width]),
    ['query_embed.weight', [queries, width]],
    ...both('input_proj', [width, widths.at(-1)!, 1, 1], [width]),
    ...behind('backbone.0.body.', resnet(widths)),
    ...(align
      ? [
          ...both('contrastive_align_projection_image', [64, width]),
          ...both('contrastive_align_projection_text', [64, width]),
        ]
      : []),
  ];
}

/** What models of questions have besides, by the question set. */
export const ANSWER_HEADS: Readonly<Record<string, (width: number) => Listed>> = {
  gqa: (width) => [
    ['qa_embed.weight', [6, width]],
    ...both('answer_type_head', [5, width]),
    ...both('answer_rel_head', [1594, width]),
    ...both('answer_obj_head', [3, width]),
    ...both('answer_global_head', [111, width]),
    ...both('answer_attr_head', [403, width]),
    ...both('answer_cat_head', [678, width]),
  ],
  'gqa-whole': (width) => [['qa_embed.weight', [1, width]], ...both('answer_head', [1853, width])],
  clevr: (width) => [
    ['qa_embed.weight', [4, width]],
    ...both('answer_type_head', [3, width]),
    ...both('answer_binary_head', [1, width]),
    ...both('answer_attr_head', [15, width]),
    ...both('answer_reg_head.layers.0', [width, width]),
    ...both('answer_reg_head.layers.1', [width, width]),
    ...both('answer_reg_head.layers.2', [20, width]),
  ],
};

/** What models of masks have besides: models/segmentation.py. Its detector stands behind `detr.`. */
export function maskHeads(width: number, heads: number, maps: readonly number[]): Listed {
  const inner = [width + heads, width / 2, width / 4, width / 8, width / 16];
  const layers = inner.flatMap((channels, i): Listed => {
    const from = inner[Math.max(0, i - 1)]!;
    return [
      ...both(`mask_head.lay${i + 1}`, [channels, from, 3, 3], [channels]),
      ...both(`mask_head.gn${i + 1}`, [channels]),
    ];
  });
  const adapters = maps.flatMap((channels, i) =>
    both(`mask_head.adapter${i + 1}`, [inner[i + 1]!, channels, 1, 1], [inner[i + 1]!]),
  );
  return [
    ...both('bbox_attention.q_linear', [width, width]),
    ...both('bbox_attention.k_linear', [width, width]),
    ...layers,
    ...both('mask_head.out_lay', [1, inner.at(-1)!, 3, 3], [1]),
    ...adapters,
  ];
}
