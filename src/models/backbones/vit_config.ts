// SPDX-License-Identifier: Apache-2.0
import type { LevelLayout } from './backbone.js';
import { checkSettings, refuse } from './settings.js';

/** Settings of a vision transformer with the positions of ScaleMAE. */
export interface VitConfig {
  num_channels: number;
  /** Channels of a token; a multiple of 4. */
  embed_dim: number;
  /** Blocks. */
  depth: number;
  num_heads: number;
  /** Hidden channels of a block's MLP, as a multiple of its own. */
  mlp_ratio: number;
  /** Pixels a side of a patch. */
  patch_size: number;
  /** A class token goes along (ScaleMAE); without it the parameter is there and unused (ScaleMAE-Det). */
  class_token: boolean;
  /** Side of the pictures for which the reference keeps a table of positions (`pos_embed`); nothing else depends on it. */
  image_size: number;
  /** Largest probability of dropping a branch in training; it grows linearly with depth (default 0). */
  drop_path_rate: number;
  /** Metres per pixel of pictures that come without; null: they must come with it. */
  default_gsd: number | null;
}

const DEFAULTS: VitConfig = {
  num_channels: 3,
  embed_dim: 1024,
  depth: 24,
  num_heads: 16,
  mlp_ratio: 4,
  patch_size: 16,
  class_token: true,
  image_size: 224,
  drop_path_rate: 0,
  default_gsd: null,
};

/** Published sizes (Reed et al. 2023; Dosovitskiy et al. 2021, table 1). */
export const VIT_VARIANTS: Readonly<Record<string, Partial<VitConfig>>> = {
  'scalemae-base': { embed_dim: 768, depth: 12, num_heads: 12 },
  'scalemae-large': { embed_dim: 1024, depth: 24, num_heads: 16 },
};

/**
 * Fills in defaults and checks the whole.
 *
 * @param settings a variant's row or own settings
 * @param source what messages call them
 * @throws UserError for unknown keys and impossible values
 */
export function vitConfig(
  settings: Readonly<Record<string, unknown>>,
  source = 'scalemae config',
): VitConfig {
  const counts = ['num_channels', 'embed_dim', 'depth', 'num_heads', 'patch_size', 'image_size'] as const;
  const config = checkSettings({ defaults: DEFAULTS, counts }, settings, source);
  const { embed_dim, num_heads, default_gsd } = config;
  if (embed_dim % 4 !== 0) refuse(source, 'embed_dim must be a multiple of 4');
  if (embed_dim % num_heads !== 0) {
    refuse(source, `num_heads, ${num_heads}, does not divide ${embed_dim} channels`);
  }
  if (typeof config.class_token !== 'boolean') refuse(source, 'class_token must be true or false');
  if (!(config.mlp_ratio > 0)) refuse(source, 'mlp_ratio must be positive');
  if (default_gsd !== null && !(default_gsd > 0)) refuse(source, 'default_gsd must be null or positive');
  return config;
}

/** One map; patches that are not whole are dropped. */
export function vitLayout({ patch_size, embed_dim }: VitConfig): LevelLayout {
  return { strides: [patch_size], channels: [embed_dim], cells: (size, stride) => Math.floor(size / stride) };
}
