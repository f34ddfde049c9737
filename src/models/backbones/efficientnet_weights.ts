// SPDX-License-Identifier: Apache-2.0
import { countParts, type NameMap, type ShapeOf } from '../weights/name_map.js';
import { type EfficientNetConfig, publishedStrides } from './efficientnet_config.js';

/** How published EfficientNets are named; own names are timm's. */
export const EFFICIENTNET_NAMES: readonly NameMap[] = [
  {
    origin: 'timm',
    hallmark: /^blocks\.0\.0\.conv_dw\./,
    place: (name) => ({ name }),
    dropped: [
      { names: /^(conv_head|bn2|classifier)\./, why: 'classifier of whole pictures' },
      { names: /\.num_batches_tracked$/, why: 'counter of training steps' },
    ],
  },
];

/** What the shapes of an EfficientNet's tensors say about its settings. */
export function inferEfficientNet(shapeOf: ShapeOf): Partial<EfficientNetConfig> {
  const block = (group: number, i: number) => `blocks.${group}.${i}`;
  const kernelOf = (group: number, i: number) => shapeOf(`${block(group, i)}.conv_dw.weight`);
  const groups = countParts(shapeOf, (group) => `${block(group, 0)}.conv_dw.weight`);
  const each = (of: (group: number) => number): number[] => Array.from({ length: groups }, (_, i) => of(i));
  const widens = (group: number) => shapeOf(`${block(group, 0)}.conv_pwl.weight`) !== null;
  const last = (group: number) => `${block(group, 0)}.${widens(group) ? 'conv_pwl' : 'conv_pw'}.weight`;
  const [stem = 0, channels = 0] = shapeOf.need('conv_stem.weight');
  const widths = each((group) => shapeOf.need(last(group))[0]!);
  return {
    num_channels: channels,
    stem_size: stem,
    widths,
    depths: each((group) => countParts(shapeOf, (i) => `${block(group, i)}.conv_dw.weight`)),
    kernels: each((group) => kernelOf(group, 0)![2]!),
    strides: publishedStrides(groups),
    expand_ratios: each((group) => kernelOf(group, 0)![0]! / (widths[group - 1] ?? stem)),
  };
}
