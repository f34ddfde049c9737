// SPDX-License-Identifier: Apache-2.0
import type { LevelLayout } from './backbone.js';
import { refuse, stagedSettings, wantedStages } from './settings.js';

/** Settings of a ResNet, by the names of Hugging Face's `config.json`. */
export interface ResNetConfig {
  num_channels: number;
  /** Channels behind the stem. */
  embedding_size: number;
  /** Channels that each stage gives. */
  hidden_sizes: number[];
  /** Blocks in each stage. */
  depths: number[];
  /** `basic`: two 3x3 convolutions a block. `bottleneck`: 1x1, 3x3 and 1x1 with a quarter of the channels inside. */
  layer_type: 'basic' | 'bottleneck';
  /** The stride of a bottleneck stands in its first convolution (He et al. 2015), not in the 3x3 one (torchvision). */
  downsample_in_bottleneck: boolean;
  /** The first stage halves the map too. */
  downsample_in_first_stage: boolean;
  /**
   * The last stage does not halve the map: its 3x3 convolutions behind the first look at every second cell instead (DC5; Li et al.
   * 2017, "Fully Convolutional Instance-aware Semantic Segmentation"). Of bottlenecks.
   */
  dilation: boolean;
  /** Stages whose maps a backbone gives: `stage1`, `stage2`, ... */
  out_features: string[];
  /** Parts that are not trained: 0 none, 1 the stem, 2 the stem and the first stage, and so on. */
  frozen_stages: number;
}

const DEFAULTS: ResNetConfig = {
  num_channels: 3,
  embedding_size: 64,
  hidden_sizes: [256, 512, 1024, 2048],
  depths: [3, 4, 6, 3],
  layer_type: 'bottleneck',
  downsample_in_bottleneck: false,
  downsample_in_first_stage: false,
  dilation: false,
  out_features: [],
  frozen_stages: 0,
};

const BASIC = { layer_type: 'basic', hidden_sizes: [64, 128, 256, 512] } as const;

/** Published sizes (He et al. 2015, table 1). */
export const RESNET_VARIANTS: Readonly<Record<string, Partial<ResNetConfig>>> = {
  'resnet-18': { ...BASIC, hidden_sizes: [...BASIC.hidden_sizes], depths: [2, 2, 2, 2] },
  'resnet-34': { ...BASIC, hidden_sizes: [...BASIC.hidden_sizes], depths: [3, 4, 6, 3] },
  'resnet-50': { depths: [3, 4, 6, 3] },
  'resnet-101': { depths: [3, 4, 23, 3] },
  'resnet-152': { depths: [3, 8, 36, 3] },
};

/** Keys of `config.json` that say nothing about how values are computed here. */
const INERT_KEYS = new Set([
  'architectures',
  'chunk_size_feed_forward',
  'dtype',
  'id2label',
  'is_encoder_decoder',
  'label2id',
  'model_type',
  'out_indices',
  'output_attentions',
  'output_hidden_states',
  'problem_type',
  'return_dict',
  'stage_names',
  'torch_dtype',
  'transformers_version',
  '_name_or_path',
]);

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row, own settings, or the contents of a Hugging Face `config.json`
 * @param source what messages call it
 * @throws UserError for unknown keys and impossible values
 */
export function resnetConfig(
  settings: Readonly<Record<string, unknown>>,
  source = 'resnet config',
): ResNetConfig {
  if ((settings.hidden_act ?? 'relu') !== 'relu') {
    refuse(source, `hidden_act must be relu, not ${String(settings.hidden_act)}`);
  }
  const inert = (key: string) => INERT_KEYS.has(key) || key === 'hidden_act';
  const perStage = ['depths', 'hidden_sizes'] as const;
  const rules = { defaults: DEFAULTS, perStage, counts: ['embedding_size'] as const, ignored: inert };
  const config = stagedSettings(rules, settings, source);
  check(config, source);
  return config;
}

function check(config: ResNetConfig, source: string): void {
  const { depths, hidden_sizes, layer_type, frozen_stages } = config;
  if (layer_type !== 'basic' && layer_type !== 'bottleneck') {
    refuse(source, `layer_type must be basic or bottleneck, not ${String(layer_type)}`);
  }
  if (layer_type === 'bottleneck' && hidden_sizes.some((size) => size % 4 !== 0)) {
    refuse(source, 'hidden_sizes of bottlenecks must be multiples of 4');
  }
  for (const key of ['downsample_in_bottleneck', 'downsample_in_first_stage', 'dilation'] as const) {
    if (typeof config[key] !== 'boolean') refuse(source, `${key} must be true or false`);
  }
  if (config.dilation && (layer_type !== 'bottleneck' || depths.length < 2)) {
    refuse(source, 'dilation needs bottlenecks and a second stage');
  }
  if (!Number.isInteger(frozen_stages) || frozen_stages < 0 || frozen_stages > depths.length + 1) {
    refuse(source, `frozen_stages must be a whole number from 0 to ${depths.length + 1}`);
  }
}

export function resnetLayout({
  out_features,
  hidden_sizes,
  downsample_in_first_stage,
  dilation,
}: ResNetConfig): LevelLayout {
  const wanted = wantedStages(out_features);
  const first = downsample_in_first_stage ? 8 : 4;
  const halved = hidden_sizes.length - (dilation ? 2 : 1);
  return {
    strides: wanted.map((i) => first * 2 ** Math.min(i, halved)),
    channels: wanted.map((i) => hidden_sizes[i]!),
  };
}
