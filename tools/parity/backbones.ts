// SPDX-License-Identifier: Apache-2.0
import { type Backbone, backboneNames, buildBackbone } from '../../src/models/backbones/index.js';
import { chooseNames } from '../../src/models/weights/name_map.js';
import { readSafetensorsSync, type StoredTensor } from '../../src/models/weights/safetensors.js';
import { type LoadOptions, loadStateDict, storeTensor } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';
import { runNetwork } from './network.js';

/** Areas of small networks, one family each. */
interface Family {
  backbone: string;
  /** The library's settings of the case's. */
  settings(config: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** The reference's name of the map of stage 0, 1, ... */
  map(stage: number): string;
  /** The reference's names of values inside, by ours. */
  taps: Readonly<Record<string, string>>;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  coat: {
    backbone: 'coat',
    settings: ({ embed_dims, serial_depths, parallel_depth, mlp_ratios }) => ({
      embed_dims,
      serial_depths,
      parallel_depth,
      mlp_ratios,
    }),
    map: (i) => `x${i + 1}_nocls`,
    taps: {
      'stage2.block0.cpe': 'cpe2',
      'stage2.block0.crpe': 'crpe2',
      'stage2.block0.attention': 'attention2',
      'parallel0.stage2': 'parallel0.x2',
      'parallel0.stage3': 'parallel0.x3',
      'parallel0.stage4': 'parallel0.x4',
    },
  },
  mpvit: {
    backbone: 'mpvit',
    settings: ({ embed_dims, num_layers, num_path, mlp_ratios }) => ({
      embed_dims,
      num_layers,
      num_path,
      mlp_ratios,
    }),
    map: (i) => `stage${i + 2}`,
    taps: {
      stem: 'stem',
      'stage2.path0': 'path_0',
      'stage2.path1': 'path_1',
      'stage2.path2': 'path_2',
      'stage2.inv_res': 'inv_res',
      'stage2.path1.layer0.cpe': 'cpe',
      'stage2.path1.layer0.crpe': 'crpe',
      'stage2.path1.layer0.attention': 'attention',
      'stage2.path1.layer0.mlp': 'mlp',
    },
  },
  swin_v2: {
    backbone: 'swin-v2',
    settings: (config) => ({ ...config }),
    map: (i) => `stage${i + 1}`,
    taps: {},
  },
};

/** Kind `network`: a small backbone with weights of its own; maps, values inside, gradients. */
export function runFamily(context: CaseContext): void {
  const family = FAMILIES[context.area.name]!;
  const { backbone: name, map } = family;
  const stages = context.expected(/^out\/[^.]+$/).map((_, i) => `stage${i + 1}`);
  const backbone = buildBackbone(name, { ...family.settings(context.config), out_features: stages });
  const source = context.fileLike('weights.safetensors');
  const tensors = readSafetensorsSync(source);
  const { origins } = loadStateDict(backbone, tensors, { ...namesIn(name, tensors), source });
  const ownNames = new Map([...origins].map(([own, inFile]) => [inFile, own]));
  const training = context.config.train === true;
  runNetwork(context, {
    module: backbone,
    picture: 'image',
    run: (pixels, taps) => {
      const { levels } = backbone.forward(pixels, { taps, training });
      return new Map(levels.map((level, i) => [map(i), level]));
    },
    tapName: (tap) => `mid/${family.taps[tap] ?? tap}`,
    ownName: (parameter) => ownNames.get(parameter) ?? '',
    ...(training ? { afterRun: () => compareAverages(context, backbone) } : {}),
  });
}

/** How a file names what a backbone has, for `loadStateDict`. */
export function namesIn(backbone: string, tensors: ReadonlyMap<string, StoredTensor>): LoadOptions {
  const names = chooseNames(backboneNames(backbone), tensors.keys());
  return names ? { names } : {};
}

/** What one step in training leaves in the running averages of batch norms. */
function compareAverages(context: CaseContext, backbone: Backbone): void {
  for (const [name, { variable, layout }] of backbone.namedParameters()) {
    if (!/\.running_(mean|var)$/.test(name)) continue;
    context.compare(`out/${name}`, storeTensor(variable, layout) as { shape: number[]; data: Float32Array });
  }
}
