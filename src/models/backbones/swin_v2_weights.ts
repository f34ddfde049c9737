// SPDX-License-Identifier: Apache-2.0
import { countParts, keepsAll, type NameMap, type ShapeOf } from '../weights/name_map.js';
import type { SwinV2Config } from './swin_v2_config.js';

/**
 * How published Swins V2 are named; own names are torchvision's. Satlas' models and MDETR-G's checkpoints have
 * `backbone.` in front (`backbone.backbone.features.1.0.attn.qkv.weight`).
 */
export const SWIN_V2_NAMES: readonly NameMap[] = [
  {
    origin: 'torchvision',
    hallmark: /^features\.1\.0\.attn\.cpb_mlp\./,
    place: (name) => ({ name }),
    dropped: [
      { names: /^(norm|head)\./, why: 'classifier of whole pictures' },
      {
        names: /\.relative_(coords_table|position_index)$/,
        why: 'table that follows from the window size',
      },
    ],
    keeps: keepsAll,
  },
];

/** What the shapes of a Swin V2's tensors say about its settings; windows are 8 where the file has no tables of them. */
export function inferSwinV2(shapeOf: ShapeOf): Partial<SwinV2Config> {
  const block = (stage: number, i: number) => `features.${2 * stage + 1}.${i}`;
  const scale = (stage: number, i: number) => `${block(stage, i)}.attn.logit_scale`;
  const stages = countParts(shapeOf, (stage) => scale(stage, 0));
  const each = <T>(of: (stage: number) => T): T[] => Array.from({ length: stages }, (_, stage) => of(stage));
  const [channels = 0, inChannels = 0] = shapeOf.need('features.0.0.weight');
  const pairs = shapeOf(`${block(0, 0)}.attn.relative_position_index`)?.[0];
  return {
    embed_dim: channels,
    num_channels: inChannels,
    depths: each((stage) => countParts(shapeOf, (i) => scale(stage, i))),
    num_heads: each((stage) => shapeOf(scale(stage, 0))![0]!),
    // One entry for each pair of places in a window.
    ...(pairs === undefined ? {} : { window_size: Math.round(pairs ** 0.25) }),
    mlp_ratio: shapeOf.need(`${block(0, 0)}.mlp.0.weight`)[0]! / channels,
  };
}
