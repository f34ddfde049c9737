// SPDX-License-Identifier: Apache-2.0
import type { DeformableDetrConfig } from '../src/models/config.js';
import type { DeformableDetr } from '../src/models/deformable_detr/index.js';

/** The `config.json` with which transformers builds the same model. */
export function huggingFaceConfig({ transformer: t, labels }: DeformableDetrConfig): Record<string, unknown> {
  const byNumber = Object.fromEntries(labels.map((label, i) => [String(i), `${label} ${i}`]));
  return {
    model_type: 'deformable_detr',
    architectures: ['DeformableDetrForObjectDetection'],
    use_timm_backbone: false,
    backbone: null,
    backbone_config: {
      model_type: 'resnet',
      embedding_size: 64,
      hidden_sizes: [256, 512, 1024, 2048],
      depths: [3, 4, 6, 3],
      layer_type: 'bottleneck',
      out_features: ['stage2', 'stage3', 'stage4'],
    },
    d_model: t.dModel,
    encoder_layers: t.encoderLayers,
    encoder_attention_heads: t.encoderHeads,
    encoder_n_points: t.encoderPoints,
    encoder_ffn_dim: t.encoderFfn,
    decoder_layers: t.decoderLayers,
    decoder_attention_heads: t.decoderHeads,
    decoder_n_points: t.decoderPoints,
    decoder_ffn_dim: t.decoderFfn,
    num_feature_levels: t.levels,
    num_queries: t.queries,
    with_box_refine: t.boxRefine,
    two_stage: t.twoStage,
    two_stage_num_proposals: t.queries,
    auxiliary_loss: true,
    class_cost: 2,
    dropout: 0,
    id2label: byNumber,
    label2id: Object.fromEntries(Object.entries(byNumber).map(([id, label]) => [label, Number(id)])),
  };
}

/**
 * Floating-point operations of a forward pass on one picture: twice the multiplications of all convolutions and linear
 * maps, each with the number of places it is applied to; attention and norms are left out (some percent).
 */
export function forwardFlops(model: DeformableDetr, width: number, height: number): number {
  const shapes = model.spatialShapes(width, height);
  const tokens = shapes.reduce((sum, [h, w]) => sum + h * w, 0);
  const cells = (stride: number) => Math.ceil(width / stride) * Math.ceil(height / stride);
  const { queries } = model.options;
  let products = 0;
  for (const [name, { variable }] of model.namedParameters()) {
    if (variable.rank < 2 || /level_embed|query_position|^class_embed\.[1-9]|^bbox_embed\.[1-9]/.test(name))
      continue;
    products += variable.size * places(name, { tokens, queries, shapes, cells });
  }
  return 2 * products;
}

interface Places {
  tokens: number;
  queries: number;
  shapes: readonly (readonly [number, number])[];
  cells(stride: number): number;
}

/** How often a weight is applied. */
function places(name: string, { tokens, queries, shapes, cells }: Places): number {
  if (name.includes('embedder.embedder')) return cells(2);
  const stage = /stages\.(\d)\.layers\.(\d+)\.layer\.0/.exec(name);
  // The first 1x1 convolution of a stage stands before its stride.
  if (stage && stage[2] === '0' && stage[1] !== '0') return cells(2 * 2 ** Number(stage[1]));
  const other = /stages\.(\d)/.exec(name);
  if (other) return cells(4 * 2 ** Number(other[1]));
  const level = /input_proj\.(\d)/.exec(name);
  if (level) return shapes[Number(level[1])]![0] * shapes[Number(level[1])]![1];
  if (name.includes('encoder.layers') || name.includes('encoder_attn.value_proj')) return tokens;
  return name.startsWith('class_embed') || name.startsWith('bbox_embed') ? 6 * queries : queries;
}
