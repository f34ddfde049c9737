// SPDX-License-Identifier: Apache-2.0

/** A small network of a family. */
export interface SmallBackbone {
  name: string;
  family: string;
  settings: Record<string, unknown>;
  /** Stages with maps, each of which may be asked for; 1 = there are none to choose. */
  maps: number;
  /** Sizes of pictures. */
  sizes: [number, number][];
}

/** Small networks of every family, so that tests of all of them have something to work on. */
export const SMALL_BACKBONES: readonly SmallBackbone[] = [
  {
    name: 'resnet',
    family: 'resnet',
    settings: { embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 2], layer_type: 'basic' },
    maps: 2,
    sizes: [
      [1, 1],
      [37, 50],
    ],
  },
  {
    name: 'resnet with a dilated stage',
    family: 'resnet',
    settings: {
      embedding_size: 8,
      hidden_sizes: [16, 16, 32],
      depths: [1, 1, 3],
      layer_type: 'bottleneck',
      dilation: true,
    },
    maps: 3,
    sizes: [
      [1, 1],
      [37, 50],
    ],
  },
  {
    name: 'swin',
    family: 'swin',
    settings: { embed_dim: 8, depths: [2, 2], num_heads: [1, 2], window_size: 4 },
    maps: 2,
    sizes: [
      [1, 1],
      [37, 50],
    ],
  },
  {
    name: 'swin-v2',
    family: 'swin-v2',
    settings: { embed_dim: 8, depths: [2, 2], num_heads: [1, 2], window_size: 4 },
    maps: 2,
    sizes: [
      [4, 5],
      [37, 50],
    ],
  },
  {
    name: 'mpvit',
    family: 'mpvit',
    settings: { embed_dims: [16, 24], num_layers: [1, 2], num_path: [2, 3], mlp_ratios: [2, 2] },
    maps: 2,
    sizes: [
      [1, 1],
      [37, 50],
    ],
  },
  {
    name: 'coat-lite',
    family: 'coat',
    settings: { embed_dims: [8, 8, 16, 16], serial_depths: [1, 2, 1, 1], mlp_ratios: [2, 2, 2, 2] },
    maps: 4,
    sizes: [
      [32, 33],
      [71, 100],
    ],
  },
  {
    name: 'coat',
    family: 'coat',
    settings: {
      embed_dims: [8, 16, 16, 16],
      serial_depths: [1, 1, 1, 1],
      mlp_ratios: [2, 2, 2, 2],
      parallel_depth: 2,
    },
    maps: 4,
    sizes: [
      [32, 33],
      [71, 100],
    ],
  },
  {
    name: 'efficientnet',
    family: 'efficientnet',
    settings: {
      stem_size: 8,
      widths: [8, 8, 12, 16, 16, 24],
      depths: [2, 1, 2, 1, 1, 2],
      kernels: [3, 3, 5, 3, 5, 3],
      strides: [1, 2, 2, 2, 1, 2],
      expand_ratios: [1, 4, 4, 4, 4, 4],
    },
    maps: 4,
    sizes: [
      [1, 1],
      [37, 50],
    ],
  },
  {
    name: 'scalemae',
    family: 'scalemae',
    settings: { embed_dim: 128, depth: 2, num_heads: 2, mlp_ratio: 2, default_gsd: 0.5 },
    maps: 1,
    sizes: [
      [16, 17],
      [37, 50],
    ],
  },
  {
    name: 'scalemae without class token',
    family: 'scalemae',
    settings: { embed_dim: 64, depth: 2, num_heads: 1, mlp_ratio: 2, default_gsd: 0.3, class_token: false },
    maps: 1,
    sizes: [
      [16, 17],
      [37, 50],
    ],
  },
];

/** Settings that ask for every map. */
export function allMaps({ settings, maps }: SmallBackbone): Record<string, unknown> {
  const names = Array.from({ length: maps }, (_, i) => `stage${i + 1}`);
  return maps > 1 ? { ...settings, out_features: names } : settings;
}
