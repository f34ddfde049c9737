// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../src/errors.js';
import { checkBackbone } from '../../src/models/backbones/index.js';
import { buildModel } from '../../src/models/build.js';
import { type DeformableDetrConfig, preset } from '../../src/models/config.js';
import type { PictureInput } from '../../src/models/deformable_detr/index.js';
import { loadDetectorWeights } from '../../src/models/detector_weights.js';
import type { CaseContext } from './context.js';
import { detectorValues } from './deformable_transformer.js';
import { formulaImage, formulaTensor } from './formula.js';
import { sampleOf, statisticsOf } from './summary.js';

/** What the command lines of the repositories set. */
interface DetectorArgs {
  enc_layers?: number;
  dec_layers?: number;
  num_queries?: number;
  with_box_refine?: boolean;
  two_stage?: boolean;
  hidden_dim?: number;
  nheads?: number;
  dim_feedforward?: number;
  enc_n_points?: number;
  dec_n_points?: number;
  num_feature_levels?: number;
  dilation?: boolean;
}

interface DetectorConfig {
  backbone: string;
  /** Of the original program; what is not named has its default. */
  args: DetectorArgs;
  /** Height and width of each picture. */
  sizes: [number, number][];
}

/** Name of a backbone here, by its repository's. */
function libraryName(name: string): string {
  return name.replaceAll('_', '-').replace(/^resnet(?=\d)/, 'resnet-');
}

/** Whether the library has the backbone that a repository calls so. */
export function hasBackbone(name: unknown): boolean {
  try {
    checkBackbone(libraryName(String(name)), {}, String(name));
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** Deformable DETR over a backbone of published size, as its repository builds it; weights and picture by formula. */
export function runWholeDetector(context: CaseContext): void {
  const config = context.config as unknown as DetectorConfig;
  const settings = settingsOf(config);
  const model = buildModel(settings);
  try {
    const names = context.json<[string, number[]][]>(
      context.entry.files.find((file) => file.startsWith('names/'))!,
    );
    const aliases = (context.entry.aliases ?? {}) as Record<string, string>;
    const tensors = new Map(names.map(([name, shape]) => [name, formulaTensor(name, shape, aliases[name])]));
    loadDetectorWeights(model, tensors, settings, context.entry.name);
    const input = inputOf(context, config);
    const values = context.compute(() =>
      detectorValues(model, input, model.forward(input, { intermediates: true })),
    );
    for (const [name, value] of Object.entries(values)) {
      context.compare(`out/${name}`, value);
      if (context.has(`out/${name}.sample`))
        context.compare(`out/${name}.sample`, sampleOf(value.dataSync()));
      if (context.has(`out/${name}.stats`))
        context.compare(`out/${name}.stats`, statisticsOf(value.dataSync()));
    }
  } finally {
    model.dispose();
  }
}

function settingsOf({ backbone, args }: DetectorConfig): DeformableDetrConfig {
  const base = preset('deformable-detr-r50');
  const boxRefine = args.with_box_refine ?? false;
  const { transformer } = base;
  const levels = args.num_feature_levels ?? transformer.levels;
  return {
    ...base,
    backbone: {
      name: libraryName(backbone),
      config: {
        ...(args.dilation ? { dilation: true } : {}),
        ...(levels === 1 ? { out_features: ['stage4'] } : {}),
      },
    },
    transformer: {
      ...transformer,
      dModel: args.hidden_dim ?? transformer.dModel,
      encoderLayers: args.enc_layers ?? transformer.encoderLayers,
      decoderLayers: args.dec_layers ?? transformer.decoderLayers,
      encoderHeads: args.nheads ?? transformer.encoderHeads,
      decoderHeads: args.nheads ?? transformer.decoderHeads,
      encoderFfn: args.dim_feedforward ?? transformer.encoderFfn,
      decoderFfn: args.dim_feedforward ?? transformer.decoderFfn,
      encoderPoints: args.enc_n_points ?? transformer.encoderPoints,
      decoderPoints: args.dec_n_points ?? transformer.decoderPoints,
      levels,
      queries: args.num_queries ?? transformer.queries,
      boxRefine,
      twoStage: args.two_stage ?? false,
      sharedClassHead: !boxRefine,
    },
  };
}

/** Padding is 0. */
function inputOf(context: CaseContext, { sizes }: DetectorConfig): PictureInput {
  const [height, width] = [0, 1].map((axis) => Math.max(...sizes.map((size) => size[axis as 0 | 1]))) as [
    number,
    number,
  ];
  const { data, shape } = formulaImage(sizes.length, height, width);
  const pixels = tf.transpose(tf.tensor(data as Float32Array, shape), [0, 2, 3, 1]);
  const mask = tf.sub(1, context.tensor('in/mask', 'float32')) as tf.Tensor3D; // 1 = real
  return { pixels: tf.mul(pixels, tf.expandDims(mask, 3)) as tf.Tensor4D, pixelMask: mask };
}
