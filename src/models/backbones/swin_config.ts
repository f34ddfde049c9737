// SPDX-License-Identifier: Apache-2.0
import { ACTIVATION_NAMES, type ActivationName } from '../layers/activations.js';
import type { LevelLayout } from './backbone.js';
import { refuse, stagedSettings, wantedStages } from './settings.js';

/** Settings of a Swin transformer, by the names of Hugging Face's `config.json`. */
export interface SwinConfig {
  /** Channels of the first stage; each further stage doubles them. */
  embed_dim: number;
  /** Blocks in each stage. */
  depths: number[];
  /** Attention heads in each stage. */
  num_heads: number[];
  /** Side of an attention window in tokens. */
  window_size: number;
  /** Hidden channels of a block's MLP, as a multiple of the block's. */
  mlp_ratio: number;
  /** Whether queries, keys and values have biases. */
  qkv_bias: boolean;
  /** Pixels per token of the first stage (4 with the convolutional stem). */
  patch_size: number;
  num_channels: number;
  /** Picture size that absolute positions were made for; unused without them. */
  image_size: number;
  use_absolute_embeddings: boolean;
  hidden_act: ActivationName;
  /** Of the norms in blocks and the last norm; all others use 1e-5. */
  layer_norm_eps: number;
  /** Standard deviation of fresh weights; narrow models that are not pretrained want more than the published 0.02. */
  initializer_range: number;
  /** Largest probability of dropping a branch in training; it grows linearly with depth (default 0). */
  drop_path_rate: number;
  /** Stages whose maps a backbone gives: `stage1`, `stage2`, ... */
  out_features: string[];
  /** `patch`: one convolution of patch size. `conv`: two 3x3 convolutions of stride 2 with a norm and activation between. */
  stem: 'patch' | 'conv';
}

const DEFAULTS: SwinConfig = {
  embed_dim: 96,
  depths: [2, 2, 6, 2],
  num_heads: [3, 6, 12, 24],
  window_size: 7,
  mlp_ratio: 4,
  qkv_bias: true,
  patch_size: 4,
  num_channels: 3,
  image_size: 224,
  use_absolute_embeddings: false,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-5,
  initializer_range: 0.02,
  drop_path_rate: 0,
  out_features: [],
  stem: 'patch',
};

const BASE = { embed_dim: 128, depths: [2, 2, 18, 2], num_heads: [4, 8, 16, 32], drop_path_rate: 0.5 };
const LARGE = { embed_dim: 192, depths: [2, 2, 18, 2], num_heads: [6, 12, 24, 48], drop_path_rate: 0.2 };

/** Published sizes (Liu et al. 2021, table 7), those of pictures of 384 with windows of 12, and that of `mdetr-g-tiny`. */
export const SWIN_VARIANTS: Readonly<Record<string, Partial<SwinConfig>>> = {
  'swin-tiny': { embed_dim: 96, depths: [2, 2, 6, 2], num_heads: [3, 6, 12, 24], drop_path_rate: 0.2 },
  'swin-small': { embed_dim: 96, depths: [2, 2, 18, 2], num_heads: [3, 6, 12, 24], drop_path_rate: 0.3 },
  'swin-base': BASE,
  'swin-large': LARGE,
  'swin-base-w12': { ...BASE, window_size: 12, image_size: 384 },
  'swin-large-w12': { ...LARGE, window_size: 12, image_size: 384 },
  'swin-micro': {
    embed_dim: 32,
    depths: [2, 2, 2, 2],
    num_heads: [2, 4, 8, 8],
    window_size: 5,
    stem: 'conv',
  },
};

/** Keys of `config.json` that say nothing about how values are computed here. */
const INERT_KEYS = new Set([
  'architectures',
  'chunk_size_feed_forward',
  'dtype',
  'encoder_stride',
  'hidden_size',
  'id2label',
  'is_encoder_decoder',
  'label2id',
  'model_type',
  'num_layers',
  'out_indices',
  'output_attentions',
  'output_hidden_states',
  'path_norm',
  'problem_type',
  'return_dict',
  'stage_names',
  'torch_dtype',
  'transformers_version',
  '_name_or_path',
]);

/** Random dropout other than stochastic depth: no published Swin uses it, and none is done here. */
const DROPOUT_KEYS = ['attention_probs_dropout_prob', 'hidden_dropout_prob'];

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row, own settings, or the contents of a Hugging Face `config.json`
 * @param source what messages call it
 * @throws UserError for unknown keys and impossible values
 */
export function swinConfig(settings: Readonly<Record<string, unknown>>, source = 'swin config'): SwinConfig {
  for (const key of DROPOUT_KEYS) {
    if (Number(settings[key] ?? 0) !== 0) refuse(source, `${key} is not supported; set it to 0`);
  }
  const inert = (key: string) => INERT_KEYS.has(key) || DROPOUT_KEYS.includes(key);
  const counts = ['embed_dim', 'window_size', 'patch_size', 'image_size'] as const;
  const rules = { defaults: DEFAULTS, perStage: ['depths', 'num_heads'] as const, counts, ignored: inert };
  const config = stagedSettings(rules, settings, source);
  checkSwinConfig(config, source);
  return config;
}

function checkSwinConfig(config: SwinConfig, source: string): void {
  checkHeads(config, source);
  if (!ACTIVATION_NAMES.includes(config.hidden_act))
    refuse(source, `hidden_act must be one of ${ACTIVATION_NAMES.join(', ')}, not ${config.hidden_act}`);
  if (!['patch', 'conv'].includes(config.stem))
    refuse(source, `stem must be patch or conv, not ${config.stem}`);
  if (config.stem === 'conv' && config.patch_size !== 4) refuse(source, 'stem conv needs patch_size 4');
  if (!(config.initializer_range > 0)) refuse(source, 'initializer_range must be a number above 0');
  if (!(config.mlp_ratio > 0)) refuse(source, 'mlp_ratio must be positive');
}

/** Refuses heads that do not divide the channels of their stage, which double from one to the next. */
export function checkHeads(
  { embed_dim, num_heads }: Pick<SwinConfig, 'embed_dim' | 'num_heads'>,
  source: string,
): void {
  num_heads.forEach((heads, i) => {
    const channels = embed_dim * 2 ** i;
    if (channels % heads !== 0)
      refuse(source, `num_heads of stage ${i + 1}, ${heads}, does not divide ${channels} channels`);
  });
}

export function swinLayout({ out_features, patch_size, embed_dim }: SwinConfig): LevelLayout {
  const wanted = wantedStages(out_features);
  return {
    strides: wanted.map((i) => patch_size * 2 ** i),
    channels: wanted.map((i) => embed_dim * 2 ** i),
  };
}
