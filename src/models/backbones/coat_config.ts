// SPDX-License-Identifier: Apache-2.0
import type { LevelLayout } from './backbone.js';
import { checkWidths } from './mpvit_config.js';
import { refuse, stagedSettings, wantedStages } from './settings.js';

/** Settings of a co-scale conv-attentional transformer; it always has four stages. */
export interface CoatConfig {
  num_channels: number;
  /** Channels of each stage: multiples of 8, the number of heads. */
  embed_dims: number[];
  /** Serial blocks in each stage. */
  serial_depths: number[];
  /** Blocks in which the last three stages see each other; 0 = CoaT-Lite. */
  parallel_depth: number;
  /** Hidden channels of an MLP, as a multiple of the stage's. */
  mlp_ratios: number[];
  /** Probability of dropping a branch in training, the same everywhere (default 0). */
  drop_path_rate: number;
  /** Stages whose maps a backbone gives: `stage1` (stride 4) and so on. */
  out_features: string[];
}

const STAGES = 4;

const DEFAULTS: CoatConfig = {
  num_channels: 3,
  embed_dims: [64, 128, 320, 512],
  serial_depths: [3, 4, 6, 3],
  parallel_depth: 0,
  mlp_ratios: [8, 8, 4, 4],
  drop_path_rate: 0,
  out_features: [],
};

const FULL = { serial_depths: [2, 2, 2, 2], parallel_depth: 6, mlp_ratios: [4, 4, 4, 4] };

/** Published sizes (Xu et al. 2021, table 1), with the drop path of their detectors. */
export const COAT_VARIANTS: Readonly<Record<string, Partial<CoatConfig>>> = {
  'coat-lite-tiny': { embed_dims: [64, 128, 256, 320], serial_depths: [2, 2, 2, 2] },
  'coat-lite-mini': { embed_dims: [64, 128, 320, 512], serial_depths: [2, 2, 2, 2] },
  'coat-lite-small': { embed_dims: [64, 128, 320, 512], serial_depths: [3, 4, 6, 3] },
  'coat-lite-medium': {
    embed_dims: [128, 256, 320, 512],
    serial_depths: [3, 6, 10, 8],
    mlp_ratios: [4, 4, 4, 4],
    drop_path_rate: 0.3,
  },
  'coat-tiny': { ...FULL, embed_dims: [152, 152, 152, 152] },
  'coat-mini': { ...FULL, embed_dims: [152, 216, 216, 216] },
  'coat-small': { ...FULL, embed_dims: [152, 320, 320, 320], drop_path_rate: 0.2 },
};

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row or own settings
 * @param source what messages call them
 * @throws UserError for unknown keys and impossible values
 */
export function coatConfig(settings: Readonly<Record<string, unknown>>, source = 'coat config'): CoatConfig {
  const perStage = ['embed_dims', 'serial_depths', 'mlp_ratios'] as const;
  const config = stagedSettings({ defaults: DEFAULTS, perStage, counts: [] }, settings, source);
  const { embed_dims, mlp_ratios, parallel_depth } = config;
  if (embed_dims.length !== STAGES) refuse(source, `embed_dims must have ${STAGES} numbers`);
  checkWidths(embed_dims, source);
  if (!Number.isInteger(parallel_depth) || parallel_depth < 0) {
    refuse(source, 'parallel_depth must be a whole number, 0 or more');
  }
  const alike = (list: number[]) => list.slice(1).every((value) => value === list[1]);
  if (parallel_depth > 0 && !(alike(embed_dims) && alike(mlp_ratios))) {
    refuse(source, 'embed_dims and mlp_ratios of stages 2 to 4 must be equal with parallel blocks');
  }
  return config;
}

/** Patches that are not whole are dropped in every stage. */
export function coatLayout({ out_features, embed_dims }: CoatConfig): LevelLayout {
  const wanted = wantedStages(out_features);
  return {
    strides: wanted.map((i) => 4 * 2 ** i),
    channels: wanted.map((i) => embed_dims[i]!),
    cells: (size, stride) => Math.floor(size / stride),
  };
}
