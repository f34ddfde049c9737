// SPDX-License-Identifier: Apache-2.0
import {
  type DeformableDetrConfig,
  type GroundingDinoConfig,
  type MdetrConfig,
  type MdetrGConfig,
  type MdetrGUpstreamConfig,
  type ModelConfig,
  preset,
  type ScaleMaeDetConfig,
} from '../../src/models/config.js';

/** The tiny preset with fewer channels: every part is there, and it builds at once. */
export function smallConfig(head: 'token-sigmoid' | 'soft-token'): MdetrGConfig {
  const config = preset('mdetr-g-tiny');
  config.backbone.config = {
    ...config.backbone.config,
    embed_dim: 16,
    depths: [1, 1, 1, 1],
    num_heads: [2, 2, 4, 4],
  };
  config.text.config = { ...config.text.config, vocab_size: 50, hidden_size: 32, intermediate_size: 32 };
  config.transformer = {
    ...config.transformer,
    dModel: 32,
    heads: 4,
    encoderLayers: 2,
    decoderLayers: 2,
    ffn: 32,
    queries: 7,
    alignDim: 16,
    slots: 24,
    head,
    fineLevels: head === 'soft-token' ? 0 : 1,
    querySource: head === 'soft-token' ? 'learned' : 'text',
  };
  return config;
}

/** A ScaleMAE-Det with few channels and four classes. */
export function smallScaleMaeDetConfig(
  name: 'scalemae-det' | 'scalemae-det-upstream' | 'vitdet' = 'scalemae-det',
): ScaleMaeDetConfig {
  const config = preset(name);
  const sizes = [8, 16, 32, 48, 64].slice(0, config.detector.anchorSizes.length);
  return {
    ...config,
    backbone: {
      name: 'scalemae',
      config: { ...config.backbone.config, embed_dim: 64, depth: 2, num_heads: 2, mlp_ratio: 2 },
    },
    detector: {
      ...config.detector,
      channels: 16,
      hidden: 32,
      anchorSizes: sizes.map((size) => [size]),
      candidates: 60,
      proposals: 30,
      trainingCandidates: 60,
      trainingProposals: 30,
      detections: 12,
    },
    labels: ['ship', 'plane', 'storage tank', 'car'],
    imageSize: 64,
  };
}

export type DetrKind = 'plain' | 'refine' | 'two-stage';

/** A Deformable DETR with few channels and four classes. */
export function smallDetrConfig(kind: DetrKind): DeformableDetrConfig {
  const config = preset(kind === 'plain' ? 'deformable-detr-r50' : `deformable-detr-r50-${kind}`);
  return {
    ...config,
    backbone: {
      name: 'resnet',
      config: { embedding_size: 8, hidden_sizes: [8, 16, 24, 32], depths: [1, 1, 1, 1], layer_type: 'basic' },
    },
    transformer: {
      ...config.transformer,
      dModel: 32,
      encoderLayers: 2,
      encoderHeads: 4,
      encoderFfn: 32,
      decoderLayers: 2,
      decoderHeads: 4,
      decoderFfn: 32,
      queries: 9,
    },
    labels: ['ship', 'plane', 'storage tank', 'car'],
    imageSize: 64,
  };
}

/** A Grounding DINO with few channels. */
export function smallGroundingDinoConfig(logits: 'dot' | 'scaled' = 'dot'): GroundingDinoConfig {
  const config = preset(logits === 'dot' ? 'grounding-dino-tiny' : 'mm-grounding-dino-tiny');
  return {
    ...config,
    backbone: {
      name: 'swin',
      config: { embed_dim: 8, depths: [1, 1, 1, 1], num_heads: [1, 1, 2, 2], window_size: 4 },
    },
    text: {
      name: 'bert',
      config: {
        vocab_size: 1040,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 40,
        add_pooling_layer: false,
      },
    },
    transformer: {
      ...config.transformer,
      dModel: 32,
      encoderLayers: 1,
      encoderHeads: 4,
      encoderFfn: 32,
      decoderLayers: 2,
      decoderHeads: 4,
      decoderFfn: 32,
      queries: 7,
      textTokens: 24,
    },
    imageSize: 64,
  };
}

const SMALL_RESNET = {
  name: 'resnet',
  config: { embedding_size: 8, hidden_sizes: [8, 16, 24, 32], depths: [1, 1, 1, 1], layer_type: 'basic' },
};

/** MDETR with few channels. */
export function smallMdetrConfig(): MdetrConfig {
  const config = preset('mdetr-r101');
  return {
    ...config,
    backbone: { ...SMALL_RESNET, config: { ...SMALL_RESNET.config, out_features: ['stage4'] } },
    text: {
      name: 'roberta',
      config: {
        vocab_size: 50,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 66,
      },
    },
    transformer: {
      ...config.transformer,
      dModel: 32,
      heads: 4,
      encoderLayers: 2,
      decoderLayers: 2,
      ffn: 32,
      queries: 6,
      slots: 24,
      alignDim: 16,
      pooled: true,
    },
    imageSize: 64,
  };
}

/** The same where it answers questions, and tells objects meant from others. */
export function smallQuestionsConfig(questions: 'gqa' | 'gqa-whole' | 'clevr' = 'clevr'): MdetrConfig {
  const config = smallMdetrConfig();
  return { ...config, transformer: { ...config.transformer, questions, final: true } };
}

/** MDETR-G as published, with few channels. */
export function smallUpstreamConfig(kind: 'deformable' | 'vanilla'): MdetrGUpstreamConfig {
  const { transformer, ...rest } = smallMdetrConfig();
  return {
    ...rest,
    model_type: 'mdetr-g-upstream',
    preset: 'mdetr-g-upstream',
    backbone: SMALL_RESNET,
    transformer: {
      ...transformer,
      kind,
      levels: kind === 'vanilla' ? 1 : 3,
      points: 2,
      textAttention: true,
      classScale: 'learnable',
      alignScale: 'learnable',
    },
  };
}

/** A small detector of every type, in every form that has parameters of its own. */
export const SMALL_DETECTORS: readonly (readonly [name: string, config: ModelConfig])[] = [
  ['mdetr-g', smallConfig('token-sigmoid')],
  ['mdetr-g with soft tokens', smallConfig('soft-token')],
  ['deformable-detr', smallDetrConfig('plain')],
  ['deformable-detr with box refinement', smallDetrConfig('refine')],
  ['deformable-detr of two stages', smallDetrConfig('two-stage')],
  ['grounding-dino', smallGroundingDinoConfig()],
  ['mm-grounding-dino', smallGroundingDinoConfig('scaled')],
  ['mdetr', smallMdetrConfig()],
  ['mdetr of questions', smallQuestionsConfig()],
  ['mdetr-g-upstream', smallUpstreamConfig('deformable')],
  ['vanilla mdetr-g-upstream', smallUpstreamConfig('vanilla')],
  ['scalemae-det', smallScaleMaeDetConfig()],
  ['vitdet', smallScaleMaeDetConfig('vitdet')],
];
