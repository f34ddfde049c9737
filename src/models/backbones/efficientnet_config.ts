// SPDX-License-Identifier: Apache-2.0
import type { LevelLayout } from './backbone.js';
import { checkSettings, checkStageLists, chooseStages, refuse, wantedStages } from './settings.js';

/** Settings of an EfficientNet. Lists have an entry for each group of blocks of one size. */
export interface EfficientNetConfig {
  num_channels: number;
  /** Channels behind the stem, which halves the picture. */
  stem_size: number;
  /** Channels of each group. */
  widths: number[];
  /** Blocks in each group. */
  depths: number[];
  /** Sides of the depthwise kernels. */
  kernels: number[];
  /** Of a group's first block: 1, or 2 to halve the map. */
  strides: number[];
  /** Channels inside a block, as a multiple of those that it gets; 1: it has no convolution that widens. */
  expand_ratios: number[];
  /** What batch norm adds to the variance. */
  batch_norm_eps: number;
  /** Largest probability of dropping a branch in training; it grows linearly with depth (default 0). */
  drop_path_rate: number;
  /** Maps that a backbone gives: `stage1` (stride 4), `stage2`, ...; each is the last of its size. */
  out_features: string[];
}

const DEFAULTS: EfficientNetConfig = {
  num_channels: 3,
  stem_size: 32,
  widths: [16, 24, 40, 80, 112, 192, 320],
  depths: [1, 2, 2, 3, 3, 4, 1],
  kernels: [3, 3, 5, 3, 5, 5, 3],
  strides: [1, 2, 2, 2, 1, 2, 1],
  expand_ratios: [1, 6, 6, 6, 6, 6, 6],
  batch_norm_eps: 1e-3,
  drop_path_rate: 0,
  out_features: [],
};

/** Channels are multiples of this. */
const DIVISOR = 8;

/** The network made wider and deeper (Tan and Le 2019, section 3.3, with the rounding of the authors' code). */
function scaled(width: number, depth: number): Partial<EfficientNetConfig> {
  return {
    stem_size: rounded(DEFAULTS.stem_size * width),
    widths: DEFAULTS.widths.map((channels) => rounded(channels * width)),
    depths: DEFAULTS.depths.map((blocks) => Math.ceil(blocks * depth)),
  };
}

/** The nearest multiple, but never a tenth less. */
function rounded(channels: number): number {
  const nearest = Math.max(DIVISOR, Math.floor((channels + DIVISOR / 2) / DIVISOR) * DIVISOR);
  return nearest < 0.9 * channels ? nearest + DIVISOR : nearest;
}

/** Published sizes (Tan and Le 2019). */
export const EFFICIENTNET_VARIANTS: Readonly<Record<string, Partial<EfficientNetConfig>>> = {
  'efficientnet-b0': scaled(1, 1),
  'efficientnet-b1': scaled(1, 1.1),
  'efficientnet-b2': scaled(1.1, 1.2),
  'efficientnet-b3': scaled(1.2, 1.4),
  'efficientnet-b4': scaled(1.4, 1.8),
  'efficientnet-b5': scaled(1.6, 2.2),
  'efficientnet-b6': scaled(1.8, 2.6),
  'efficientnet-b7': scaled(2, 3.1),
};

/** Strides of the first groups of published networks: no shape of a weight tells them. */
export function publishedStrides(groups: number): number[] {
  return Array.from({ length: groups }, (_, i) => DEFAULTS.strides[i] ?? 1);
}

/**
 * Fills in defaults and checks the whole. Detectors take the maps of stages 2 and up unless `out_features` says otherwise.
 *
 * @param settings a variant's row or own settings
 * @param source what messages call them
 * @throws UserError for unknown keys and impossible values
 */
export function efficientNetConfig(
  settings: Readonly<Record<string, unknown>>,
  source = 'efficientnet config',
): EfficientNetConfig {
  const counts = ['num_channels', 'stem_size'] as const;
  const config = checkSettings({ defaults: DEFAULTS, counts }, settings, source);
  checkStageLists(config, ['widths', 'depths', 'kernels', 'strides', 'expand_ratios'], source);
  const { kernels, strides, batch_norm_eps: eps } = config;
  if (kernels.some((side) => side % 2 === 0)) refuse(source, 'kernels must be odd');
  if (strides.some((stride) => stride > 2)) refuse(source, 'strides must be 1 or 2');
  if (typeof eps !== 'number' || !(eps > 0)) refuse(source, 'batch_norm_eps must be a number above 0');
  const stages = mapGroups(config).length;
  if (stages === 0) refuse(source, 'strides must make a map of stride 4 at least');
  chooseStages(config, stages, source);
  return config;
}

/** Groups whose results are maps: the last of each stride from 4 on. */
export function mapGroups({ strides }: Pick<EfficientNetConfig, 'strides'>): number[] {
  const from = strides.indexOf(2);
  return strides.flatMap((_, i) => (from >= 0 && i >= from && strides[i + 1] !== 1 ? [i] : []));
}

export function efficientNetLayout(config: EfficientNetConfig): LevelLayout {
  const wanted = wantedStages(config.out_features);
  const groups = mapGroups(config);
  return {
    strides: wanted.map((i) => 4 * 2 ** i),
    channels: wanted.map((i) => config.widths[groups[i]!]!),
  };
}
