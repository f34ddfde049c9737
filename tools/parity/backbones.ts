// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Backbone, backboneNames, buildBackbone } from '../../src/models/backbones/index.js';
import { chooseNames } from '../../src/models/weights/name_map.js';
import { readSafetensorsSync, type StoredTensor } from '../../src/models/weights/safetensors.js';
import { type LoadOptions, loadStateDict, storeTensor } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';
import { formulaImage, formulaTensor } from './formula.js';
import { runNetwork } from './network.js';
import { sampleOf, statisticsOf } from './summary.js';

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
function namesIn(backbone: string, tensors: ReadonlyMap<string, StoredTensor>): LoadOptions {
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

/** A network of published size and what its reference calls its first map. */
interface Published {
  backbone: string;
  /** Name of the map of stage 0, 1, ... */
  map(stage: number): string;
}

const PUBLISHED: Readonly<Record<string, Published>> = {
  coat_lite_small: { backbone: 'coat-lite-small', map: (i) => `x${i + 1}_nocls` },
  coat_small: { backbone: 'coat-small', map: (i) => `x${i + 1}_nocls` },
  mpvit_tiny: { backbone: 'mpvit-tiny', map: (i) => `stage${i + 2}` },
  resnet50: { backbone: 'resnet-50', map: (i) => `layer${i + 1}` },
  swin_tiny: { backbone: 'swin-tiny', map: (i) => `stage${i + 1}` },
  swin_base: { backbone: 'swin-base', map: (i) => `stage${i + 1}` },
  swin_v2_t: { backbone: 'swin-v2-tiny', map: (i) => `c${i + 2}` },
  swin_v2_b: { backbone: 'swin-v2-base', map: (i) => `c${i + 2}` },
};

/** Whether the library has the backbone that a reference calls so. */
export function isPublished(model: unknown): boolean {
  return typeof model === 'string' && Object.hasOwn(PUBLISHED, model);
}

/** Kind `published`: a backbone of full size with weights by formula; samples and statistics of its maps. */
export async function runPublished(context: CaseContext): Promise<void> {
  const { model, image, batch } = context.config as { model: string; image: [number, number]; batch: number };
  const published = PUBLISHED[model];
  if (!published) throw new Error(`no backbone of the library is known as ${model}`);
  const stages = Object.keys(context.entry.shapes as object).map((_, i) => `stage${i + 1}`);
  const backbone = buildBackbone(published.backbone, { out_features: stages });
  try {
    loadFormula(context, backbone, published.backbone, model);
    const [height, width] = image;
    const stored = formulaImage(batch, height, width);
    const pixels = context.track(
      tf.tidy(() => tf.variable(tf.transpose(toTensor(stored), [0, 2, 3, 1]))),
    ) as tf.Tensor as tf.Tensor4D;
    const { levels } = context.compute(() => ({ levels: backbone.forward(pixels).levels }));
    levels.forEach((level, i) => {
      compareSummary(context, published.map(i), level);
    });
  } finally {
    backbone.dispose();
  }
}

function toTensor({ data, shape }: StoredTensor): tf.Tensor {
  return tf.tensor(data as Float32Array, shape);
}

/** Gives every parameter the value that follows from its name in the reference. */
function loadFormula(context: CaseContext, backbone: Backbone, name: string, model: string): void {
  const names = context.json<[string, number[]][]>(`names/${model}.json`);
  const aliases = context.entry.aliases as Record<string, string>;
  const tensors = new Map(
    names.map(([own, shape]) => [own, formulaTensor(own, shape, aliases[own] ?? own)] as const),
  );
  loadStateDict(backbone, tensors, { ...namesIn(name, tensors), source: `names/${model}.json` });
}

/** @param level `[batch, H, W, C]`; stored are values of `[batch, C, H, W]` in even steps, and statistics of all */
function compareSummary(context: CaseContext, name: string, level: tf.Tensor4D): void {
  const shapes = context.entry.shapes as Record<string, number[]>;
  const map = tf.transpose(level, [0, 3, 1, 2]);
  context.check(`${name}: shape`, map.shape.join() === shapes[name]?.join(), `it is [${map.shape}]`);
  const values = map.dataSync();
  context.compare(`out/${name}.sample`, sampleOf(values));
  context.compare(`out/${name}.stats`, statisticsOf(values));
}
