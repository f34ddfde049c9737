// SPDX-License-Identifier: Apache-2.0
import { countParts, type NameMap, type ShapeOf } from '../weights/name_map.js';
import type { CoatConfig } from './coat_config.js';

/** How published CoaTs are named; own names are the original's. Checkpoints of detectors have `backbone.0.backbone.` in front. */
export const COAT_NAMES: readonly NameMap[] = [
  {
    origin: 'original',
    hallmark: /^cls_token1$/,
    place: (name) => ({ name }),
    dropped: [{ names: /^(norm[1-4]|head|aggregate)\./, why: 'classifier of whole pictures' }],
    inDetr: 'backbone.0.backbone.',
  },
];

/** What the shapes of a CoaT's tensors say about its settings. */
export function inferCoat(shapeOf: ShapeOf): Partial<CoatConfig> {
  const stages = [1, 2, 3, 4];
  const widths = stages.map((stage) => shapeOf.need(`patch_embed${stage}.proj.weight`)[0]!);
  const hidden = (stage: number) => shapeOf.need(`serial_blocks${stage}.0.mlp.fc1.weight`)[0]!;
  return {
    num_channels: shapeOf.need('patch_embed1.proj.weight')[1]!,
    embed_dims: widths,
    serial_depths: stages.map((stage) =>
      countParts(shapeOf, (i) => `serial_blocks${stage}.${i}.norm1.weight`),
    ),
    parallel_depth: countParts(shapeOf, (i) => `parallel_blocks.${i}.norm12.weight`),
    mlp_ratios: stages.map((stage, i) => hidden(stage) / widths[i]!),
  };
}
