// SPDX-License-Identifier: Apache-2.0
import type { LevelLayout } from './backbone.js';
import { FACTORISED_HEADS } from './factorised_attention.js';
import { refuse, stagedSettings, wantedStages } from './settings.js';

/** Settings of a multi-path vision transformer. */
export interface MpvitConfig {
  num_channels: number;
  /** Channels inside each stage; a stage gives its map with those of the next one. Multiples of 8, the number of heads. */
  embed_dims: number[];
  /** Transformer layers on each path of a stage. */
  num_layers: number[];
  /** Paths of a stage, each of tokens that see more of the picture than those before. */
  num_path: number[];
  /** Hidden channels of an MLP, as a multiple of the stage's. */
  mlp_ratios: number[];
  /** Largest probability of dropping a branch in training; it grows linearly with depth (default 0). */
  drop_path_rate: number;
  /** Stages whose maps a backbone gives: `stage1` (stride 4) and so on; the reference counts the stem too. */
  out_features: string[];
}

const DEFAULTS: MpvitConfig = {
  num_channels: 3,
  embed_dims: [64, 128, 216, 288],
  num_layers: [1, 3, 6, 3],
  num_path: [2, 3, 3, 3],
  mlp_ratios: [4, 4, 4, 4],
  drop_path_rate: 0,
  out_features: [],
};

/** Published sizes (Lee et al. 2022, table 2), with the drop path of their detectors: none. */
export const MPVIT_VARIANTS: Readonly<Record<string, Partial<MpvitConfig>>> = {
  'mpvit-tiny': { embed_dims: [64, 96, 176, 216], num_layers: [1, 2, 4, 1], mlp_ratios: [2, 2, 2, 2] },
  'mpvit-xsmall': { embed_dims: [64, 128, 192, 256], num_layers: [1, 2, 4, 1] },
  'mpvit-small': { embed_dims: [64, 128, 216, 288], num_layers: [1, 3, 6, 3] },
  'mpvit-base': { embed_dims: [128, 224, 368, 480], num_layers: [1, 3, 8, 3] },
};

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row or own settings
 * @param source what messages call them
 * @throws UserError for unknown keys and impossible values
 */
export function mpvitConfig(
  settings: Readonly<Record<string, unknown>>,
  source = 'mpvit config',
): MpvitConfig {
  const perStage = ['embed_dims', 'num_layers', 'num_path', 'mlp_ratios'] as const;
  const config = stagedSettings({ defaults: DEFAULTS, perStage, counts: [] }, settings, source);
  checkWidths(config.embed_dims, source);
  return config;
}

/** Refuses channels that 8 heads cannot share. */
export function checkWidths(widths: readonly number[], source: string): void {
  const odd = widths.find((width) => width % FACTORISED_HEADS !== 0);
  if (odd !== undefined)
    refuse(source, `embed_dims must be multiples of ${FACTORISED_HEADS}, and ${odd} is not`);
}

/** Channels of the map that each stage gives: those of the next stage. */
export function mpvitOutputs({ embed_dims }: Pick<MpvitConfig, 'embed_dims'>): number[] {
  return embed_dims.map((own, i) => embed_dims[i + 1] ?? own);
}

export function mpvitLayout(config: MpvitConfig): LevelLayout {
  const wanted = wantedStages(config.out_features);
  const outputs = mpvitOutputs(config);
  return { strides: wanted.map((i) => 4 * 2 ** i), channels: wanted.map((i) => outputs[i]!) };
}
