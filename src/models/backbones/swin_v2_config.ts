// SPDX-License-Identifier: Apache-2.0

import type { LevelLayout } from './backbone.js';
import { refuse, stagedSettings, wantedStages } from './settings.js';
import { checkHeads } from './swin_config.js';

/** Pixels a side of a patch. */
export const PATCH = 4;

/** Settings of a Swin transformer V2. Pictures are cut into patches of 4 x 4 pixels. */
export interface SwinV2Config {
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
  num_channels: number;
  /** Largest probability of dropping a branch in training; it grows linearly with depth (default 0). */
  drop_path_rate: number;
  /** Stages whose maps a backbone gives: `stage1`, `stage2`, ... */
  out_features: string[];
}

const DEFAULTS: SwinV2Config = {
  embed_dim: 96,
  depths: [2, 2, 6, 2],
  num_heads: [3, 6, 12, 24],
  window_size: 8,
  mlp_ratio: 4,
  num_channels: 3,
  drop_path_rate: 0,
  out_features: [],
};

/** Sizes as torchvision has them (`swin_v2_t`, `_s`, `_b`); Satlas' aerial weights are a `swin-v2-base`. */
export const SWIN_V2_VARIANTS: Readonly<Record<string, Partial<SwinV2Config>>> = {
  'swin-v2-tiny': { embed_dim: 96, depths: [2, 2, 6, 2], num_heads: [3, 6, 12, 24], drop_path_rate: 0.2 },
  'swin-v2-small': { embed_dim: 96, depths: [2, 2, 18, 2], num_heads: [3, 6, 12, 24], drop_path_rate: 0.3 },
  'swin-v2-base': { embed_dim: 128, depths: [2, 2, 18, 2], num_heads: [4, 8, 16, 32], drop_path_rate: 0.5 },
};

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row or own settings
 * @param source what messages call them
 * @throws UserError for unknown keys and impossible values
 */
export function swinV2Config(
  settings: Readonly<Record<string, unknown>>,
  source = 'swin-v2 config',
): SwinV2Config {
  const counts = ['embed_dim', 'window_size'] as const;
  const rules = { defaults: DEFAULTS, perStage: ['depths', 'num_heads'] as const, counts };
  const config = stagedSettings(rules, settings, source);
  checkHeads(config, source);
  if (config.window_size < 2) refuse(source, 'window_size must be at least 2');
  if (!(config.mlp_ratio > 0)) refuse(source, 'mlp_ratio must be positive');
  return config;
}

/** Patches that are not whole are dropped; later halvings round up. */
export function swinV2Layout({ out_features, embed_dim }: SwinV2Config): LevelLayout {
  const wanted = wantedStages(out_features);
  return {
    strides: wanted.map((i) => PATCH * 2 ** i),
    channels: wanted.map((i) => embed_dim * 2 ** i),
    cells: (size, stride) => Math.ceil(Math.floor(size / PATCH) / (stride / PATCH)),
  };
}
