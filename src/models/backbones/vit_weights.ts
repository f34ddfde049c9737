// SPDX-License-Identifier: Apache-2.0
import { countParts, keepsAll, type NameMap, type ShapeOf } from '../weights/name_map.js';
import type { VitConfig } from './vit_config.js';

/** How published ScaleMAEs are named; own names are the original's. ScaleMAE-Det has `backbone.backbone.` in front. */
export const VIT_NAMES: readonly NameMap[] = [
  {
    origin: 'original',
    hallmark: /^cls_token$/,
    place: (name) => ({ name }),
    dropped: [
      { names: /^pos_embed$/, why: 'table that follows from metres per pixel' },
      { names: /^(decoder|mask_token|fpn|fcn|pos_emb_projection)/, why: 'part of pretraining' },
      { names: /^(head|fc_norm)\./, why: 'classifier of whole pictures' },
    ],
    keeps: keepsAll,
  },
];

/** Channels of a head in every published size; no shape tells it. */
const HEAD_SIZE = 64;

/** What the shapes of a vision transformer's tensors say about its settings. */
export function inferVit(shapeOf: ShapeOf): Partial<VitConfig> {
  const [width = 0, channels = 0, side = 0] = shapeOf.need('patch_embed.proj.weight');
  // One row is the class token's.
  const cells = Math.sqrt((shapeOf('pos_embed')?.[1] ?? 0) - 1);
  return {
    num_channels: channels,
    embed_dim: width,
    depth: countParts(shapeOf, (i) => `blocks.${i}.norm1.weight`),
    num_heads: Math.max(1, Math.trunc(width / HEAD_SIZE)),
    mlp_ratio: shapeOf.need('blocks.0.mlp.fc1.weight')[0]! / width,
    patch_size: side,
    ...(Number.isInteger(cells) && cells > 0 ? { image_size: cells * side } : {}),
  };
}
