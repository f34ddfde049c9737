// SPDX-License-Identifier: Apache-2.0
import type { DeformableDetrConfig } from '../src/models/config.js';

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
