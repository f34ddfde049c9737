// SPDX-License-Identifier: Apache-2.0
import { countParts, keepsAll, type NameMap, type ShapeOf } from '../weights/name_map.js';
import type { MpvitConfig } from './mpvit_config.js';

/**
 * How published MPViTs are named; own names are the original's. Checkpoints of detectors have `backbone.0.backbone.` or
 * `backbone.` in front.
 */
export const MPVIT_NAMES: readonly NameMap[] = [
  {
    origin: 'original',
    hallmark: /^mhca_stages\.0\.InvRes\./,
    place: (name) => ({ name }),
    dropped: [
      { names: /^cls_head\./, why: 'classifier of whole pictures' },
      { names: /\.num_batches_tracked$/, why: 'counter of training steps' },
    ],
    keeps: keepsAll,
    inDetr: 'backbone.0.backbone.',
  },
];

/** What the shapes of an MPViT's tensors say about its settings. */
export function inferMpvit(shapeOf: ShapeOf): Partial<MpvitConfig> {
  const local = (stage: number) => `mhca_stages.${stage}.InvRes.conv1.conv.weight`;
  const layer = (stage: number, i: number) => `mhca_stages.${stage}.mhca_blks.0.MHCA_layers.${i}`;
  const stages = countParts(shapeOf, local);
  const each = <T>(of: (stage: number) => T): T[] => Array.from({ length: stages }, (_, stage) => of(stage));
  const widths = each((stage) => shapeOf.need(local(stage))[0]!);
  return {
    num_channels: shapeOf.need('stem.0.conv.weight')[1]!,
    embed_dims: widths,
    num_layers: each((stage) => countParts(shapeOf, (i) => `${layer(stage, i)}.norm1.weight`)),
    num_path: each((stage) =>
      countParts(shapeOf, (path) => `mhca_stages.${stage}.mhca_blks.${path}.cpe.proj.weight`),
    ),
    mlp_ratios: widths.map((width, stage) => shapeOf.need(`${layer(stage, 0)}.mlp.fc1.weight`)[0]! / width),
  };
}
