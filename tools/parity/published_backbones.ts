// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Backbone, buildBackbone } from '../../src/models/backbones/index.js';
import type { StoredTensor } from '../../src/models/weights/safetensors.js';
import { type LoadReport, loadStateDict, storeTensor } from '../../src/models/weights/state_dict.js';
import { namesIn } from './backbones.js';
import type { CaseContext } from './context.js';
import { formulaImage, formulaTensor, formulaUpstream } from './formula.js';
import { GRADIENT_SAMPLES, sampleOf, statisticsOf } from './summary.js';

/** A network of published size and what its reference calls its maps. */
interface Published {
  backbone: string;
  /** Where it differs from the size's. */
  settings?: Readonly<Record<string, unknown>>;
  /** Name of the map of stage 0, 1, ... */
  map(stage: number): string;
}

/** Sizes of a family whose references have one name for each. */
function family(
  models: readonly string[],
  { library, ...rest }: Omit<Published, 'backbone'> & { library(model: string): string },
): [string, Published][] {
  return models.map((model) => [model, { ...rest, backbone: library(model) }]);
}

const dashes = (model: string) => model.replaceAll('_', '-');
const coat = (i: number) => `x${i + 1}_nocls`;
const layer = (i: number) => `layer${i + 1}`;
const stage = (i: number) => `stage${i + 1}`;

const PUBLISHED: ReadonlyMap<string, Published> = new Map([
  ...family(['coat_tiny', 'coat_mini', 'coat_small'], { library: dashes, map: coat }),
  ...family(['coat_lite_tiny', 'coat_lite_mini', 'coat_lite_small', 'coat_lite_medium'], {
    library: dashes,
    map: coat,
  }),
  ...family(['tf_efficientnet_b0'], { library: () => 'efficientnet-b0', map: (i) => `x${i + 1}` }),
  // As MDETR has them: its batch norm adds another constant than the one that they were trained with.
  ...family(['tf_efficientnet_b3_ns', 'tf_efficientnet_b5_ns'], {
    library: (model) => dashes(model.slice('tf_'.length, -'_ns'.length)),
    settings: { batch_norm_eps: 1e-5 },
    map: (i) => `x${i + 1}`,
  }),
  ...family(['mpvit_tiny', 'mpvit_xsmall', 'mpvit_small', 'mpvit_base'], {
    library: dashes,
    map: (i) => `stage${i + 2}`,
  }),
  ...family(['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'], { library: resNet, map: layer }),
  ...family(['resnet50_dc5', 'resnet101_dc5'], {
    library: (model) => resNet(model.slice(0, -'_dc5'.length)),
    settings: { dilation: true },
    map: layer,
  }),
  ...family(['swin_tiny', 'swin_small', 'swin_base', 'swin_large', 'swin_base_w12', 'swin_large_w12'], {
    library: dashes,
    map: stage,
  }),
  ...family(['swin_v2_t', 'swin_v2_s', 'swin_v2_b'], {
    library: (model) => `swin-v2-${{ t: 'tiny', s: 'small' }[model.at(-1)!] ?? 'base'}`,
    map: (i) => `c${i + 2}`,
  }),
]);

function resNet(model: string): string {
  return model.replace('resnet', 'resnet-');
}

/** Whether the library has the backbone that a reference calls so. */
export function isPublished(model: unknown): boolean {
  return typeof model === 'string' && PUBLISHED.has(model);
}

/** Kind `published`: a backbone of full size with weights by formula; samples and statistics of maps and gradients. */
export async function runPublished(context: CaseContext): Promise<void> {
  const { model, image, batch } = context.config as { model: string; image: [number, number]; batch: number };
  const published = PUBLISHED.get(model);
  if (!published) throw new Error(`no backbone of the library is known as ${model}`);
  const stages = Object.keys(context.entry.shapes as object).map((_, i) => `stage${i + 1}`);
  const backbone = buildBackbone(published.backbone, { ...published.settings, out_features: stages });
  try {
    const report = loadFormula(context, backbone, published.backbone, model);
    const [height, width] = image;
    const stored = formulaImage(batch, height, width);
    const pixels = context.track(
      tf.tidy(() => tf.variable(tf.transpose(toTensor(stored), [0, 2, 3, 1]))),
    ) as tf.Variable<tf.Rank.R4>;
    const { levels } = context.compute(() => ({ levels: backbone.forward(pixels).levels }));
    levels.forEach((level, i) => {
      compareMap(context, published.map(i), level);
    });
    compareGradients(context, { backbone, pixels, report, map: published.map });
  } finally {
    backbone.dispose();
  }
}

function toTensor({ data, shape }: StoredTensor): tf.Tensor {
  return tf.tensor(data as Float32Array, shape);
}

/** Gives every parameter the value that follows from its name in the reference. */
function loadFormula(context: CaseContext, backbone: Backbone, name: string, model: string): LoadReport {
  const names = context.json<[string, number[]][]>(`names/${model}.json`);
  const aliases = context.entry.aliases as Record<string, string>;
  const tensors = new Map(
    names.map(([own, shape]) => [own, formulaTensor(own, shape, aliases[own] ?? own)] as const),
  );
  return loadStateDict(backbone, tensors, { ...namesIn(name, tensors), source: `names/${model}.json` });
}

/** @param level `[batch, H, W, C]`; stored are values of `[batch, C, H, W]` in even steps, and statistics of all */
function compareMap(context: CaseContext, name: string, level: tf.Tensor4D): void {
  const shapes = context.entry.shapes as Record<string, number[]>;
  const map = tf.transpose(level, [0, 3, 1, 2]);
  context.check(`${name}: shape`, map.shape.join() === shapes[name]?.join(), `it is [${map.shape}]`);
  const values = map.dataSync();
  context.compare(`out/${name}.sample`, sampleOf(values));
  context.compare(`out/${name}.stats`, statisticsOf(values));
}

interface Run {
  backbone: Backbone;
  pixels: tf.Variable<tf.Rank.R4>;
  report: LoadReport;
  map(stage: number): string;
}

/** Gradients of the sum of all maps, each value times a number by formula, for the picture and some parameters. */
function compareGradients(context: CaseContext, { backbone, pixels, report, map }: Run): void {
  const { gradients: names = [] } = context.config as { gradients?: string[] };
  if (names.length === 0) return;
  const owners = new Map([...report.origins].map(([own, inFile]) => [inFile, own]));
  const parameters = names.map((name) => backbone.namedParameters().get(owners.get(name) ?? name)!);
  const upstream = backbone.forward(pixels).levels.map((level, i) => {
    const [batch, height, width, channels] = level.shape;
    return toTensor(formulaUpstream(map(i), [batch, channels, height, width]));
  });
  const [ofPicture, ...ofParameters] = context.gradients(
    [pixels, ...parameters.map(({ variable }) => variable)],
    () => {
      const { levels } = backbone.forward(pixels);
      const terms = levels.map((level, i) => tf.sum(tf.mul(tf.transpose(level, [0, 3, 1, 2]), upstream[i]!)));
      return tf.addN(terms) as tf.Scalar;
    },
  );
  compareSummary(context, 'image', tf.transpose(ofPicture!, [0, 3, 1, 2]).dataSync());
  names.forEach((name, i) => {
    const { data } = storeTensor(ofParameters[i]!, parameters[i]!.layout);
    compareSummary(context, name, data as Float32Array);
  });
}

function compareSummary(context: CaseContext, name: string, values: ArrayLike<number>): void {
  context.compare(`grad/${name}.sample`, sampleOf(values, GRADIENT_SAMPLES));
  context.compare(`grad/${name}.stats`, statisticsOf(values));
}
