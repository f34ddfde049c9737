// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import type { LayerSettings, ModuleLayerClass } from '../../../src/models/layer_adapter.js';
import type { Module } from '../../../src/models/module.js';
import * as layers from '../../../src/models/tf_layers/index.js';
import { Random } from '../../../src/random.js';
import {
  smallConfig,
  smallDetrConfig,
  smallGroundingDinoConfig,
  smallMdetrConfig,
  smallScaleMaeDetConfig,
  smallUpstreamConfig,
} from '../small_config.js';

/** An input without its batch: random numbers, numbers of tokens below `ids`, or one value throughout. */
type Input = { shape: number[]; ids?: number; all?: number };

interface Row {
  settings: LayerSettings;
  inputs: Input[];
}

const PICTURE: Input = { shape: [64, 64, 3] };
const tokens = (count: number, ids: number): Input[] => [
  { shape: [count], ids },
  { shape: [count], all: 1 },
];
const sentence = (ids: number): Input[] => [...tokens(5, ids), { shape: [5], all: 1 }];
const maps = (channels: number): Input[] => [{ shape: [6, 5, channels] }, { shape: [3, 3, channels] }];
const detector = (config: object): LayerSettings => ({ ...config });

const DEFORMABLE = { dModel: 16, heads: 4, levels: 2, points: 2 };
const TWO_MAPS = { out_features: ['stage1', 'stage2'] };
const TWO_STAGES = { depths: [1, 1], num_heads: [1, 2], window_size: 4, ...TWO_MAPS };
const TEXT = {
  vocab_size: 50,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 12,
};

/** A small layer of every class. A class that is not here fails the first test. */
const ROWS: Readonly<Record<string, Row>> = {
  ResNetBackbone: {
    settings: { embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 1], layer_type: 'basic', ...TWO_MAPS },
    inputs: [PICTURE],
  },
  SwinBackbone: { settings: { embed_dim: 8, ...TWO_STAGES }, inputs: [PICTURE] },
  SwinV2Backbone: { settings: { embed_dim: 8, ...TWO_STAGES }, inputs: [PICTURE] },
  MpvitBackbone: {
    settings: { embed_dims: [16, 24], num_layers: [1, 1], num_path: [2, 2], mlp_ratios: [2, 2], ...TWO_MAPS },
    inputs: [PICTURE],
  },
  CoatBackbone: {
    settings: {
      embed_dims: [8, 16, 16, 16],
      serial_depths: [1, 1, 1, 1],
      mlp_ratios: [2, 2, 2, 2],
      parallel_depth: 1,
    },
    inputs: [PICTURE],
  },
  EfficientNetBackbone: {
    settings: {
      stem_size: 8,
      widths: [8, 8, 16],
      depths: [1, 1, 1],
      kernels: [3, 5, 3],
      strides: [1, 2, 2],
      expand_ratios: [1, 2, 2],
      ...TWO_MAPS,
    },
    inputs: [PICTURE],
  },
  VitBackbone: {
    settings: { embed_dim: 16, depth: 1, num_heads: 2, mlp_ratio: 2 },
    inputs: [PICTURE, { shape: [1], all: 0.5 }],
  },
  MSDeformAttn: { settings: DEFORMABLE, inputs: maps(16) },
  DeformableEncoder: {
    settings: { ...DEFORMABLE, ffn: 8, layers: 1, textToImage: true, imageToText: true },
    inputs: [{ shape: [4, 16] }, { shape: [4], all: 1 }, ...maps(16)],
  },
  DeformableDecoder: {
    settings: { ...DEFORMABLE, ffn: 8, layers: 2 },
    inputs: [
      { shape: [3, 16] },
      { shape: [3, 4], all: 0.4 },
      { shape: [4, 16] },
      { shape: [4], all: 1 },
      ...maps(16),
    ],
  },
  TokenSigmoidHead: { settings: { dModel: 16, hdim: 8 }, inputs: [{ shape: [4, 16] }, { shape: [6, 16] }] },
  SoftTokenHead: { settings: { dModel: 16, slots: 12, learnScale: true }, inputs: [{ shape: [4, 16] }] },
  ContrastiveAlignHead: {
    settings: { dModel: 16, hdim: 8 },
    inputs: [{ shape: [4, 16] }, { shape: [6, 16] }],
  },
  RobertaEncoder: { settings: TEXT, inputs: tokens(6, 50) },
  BertEncoder: { settings: TEXT, inputs: tokens(6, 50) },
  DeformableDetr: { settings: detector(smallDetrConfig('refine')), inputs: [PICTURE] },
  MdetrG: { settings: detector(smallConfig('token-sigmoid')), inputs: [PICTURE, ...sentence(50)] },
  Mdetr: { settings: detector(smallMdetrConfig()), inputs: [PICTURE, ...sentence(50)] },
  MdetrGUpstream: {
    settings: detector(smallUpstreamConfig('deformable')),
    inputs: [PICTURE, ...sentence(50)],
  },
  ScaleMaeDet: {
    settings: detector(smallScaleMaeDetConfig()),
    inputs: [PICTURE, { shape: [1], all: 0.5 }],
  },
  GroundingDino: { settings: detector(smallGroundingDinoConfig()), inputs: [PICTURE, ...sentence(1000)] },
};

const CLASSES = Object.values(layers) as unknown as ModuleLayerClass<Module>[];

function make({ shape, ids, all }: Input, random: Random): tf.Tensor {
  const whole = [2, ...shape];
  if (all !== undefined) return tf.fill(whole, all);
  const size = whole.reduce((product, side) => product * side, 1);
  const values = Float32Array.from({ length: size }, () =>
    ids === undefined ? random.normal() : 3 + Math.floor(random.uniform() * (ids - 4)),
  );
  return tf.tensor(values, whole);
}

/** A model of one layer. */
function wrap(LayerClass: ModuleLayerClass<Module>, { settings, inputs }: Row): tf.LayersModel {
  const symbols = inputs.map(({ shape }) => tf.input({ shape }));
  const outputs = new LayerClass({ settings }).apply(symbols) as tf.SymbolicTensor[];
  return tf.model({ inputs: symbols, outputs });
}

/** What a file of the model would hold. */
async function throughText(model: tf.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | null = null;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
    }),
  );
  const { weightData, ...described } = saved as unknown as tf.io.ModelArtifacts;
  return { ...(JSON.parse(JSON.stringify(described)) as tf.io.ModelArtifacts), weightData: weightData! };
}

function answers(model: tf.LayersModel, inputs: tf.Tensor[]): { shape: number[]; values: number[] }[] {
  return [model.predict(inputs)].flat().map((output) => {
    const tensor = output as tf.Tensor;
    return { shape: tensor.shape, values: [...tensor.dataSync()] };
  });
}

beforeAll(async () => {
  await ready();
});

describe('every layer', () => {
  it('stands in the table', () => {
    expect(CLASSES.map(({ className }) => className).sort()).toEqual(Object.keys(ROWS).sort());
  });

  it.each(CLASSES.map((LayerClass) => [LayerClass.className, LayerClass] as const))(
    '%s is rebuilt from its configuration and weights, and answers the same',
    async (className, LayerClass) => {
      const row = ROWS[className]!;
      const model = wrap(LayerClass, row);
      const random = new Random(4);
      const inputs = row.inputs.map((input) => make(input, random));
      // Fresh weights would do for some; these are the file's alone.
      model.setWeights(
        model.getWeights().map((weight) => (weight.dtype === 'float32' ? tf.add(weight, 0.01) : weight)),
      );
      const wanted = answers(model, inputs);
      expect(wanted.flatMap(({ values }) => values).every(Number.isFinite)).toBe(true);
      expect(wanted.map(({ shape }) => [null, ...shape.slice(1)])).toEqual(
        model.outputs.map(({ shape }) => shape),
      );
      const again = await tf.loadLayersModel(tf.io.fromMemory(await throughText(model)));
      expect(answers(again, inputs)).toEqual(wanted);
      expect(again.layers.at(-1)!.getConfig()).toEqual(model.layers.at(-1)!.getConfig());
      model.dispose();
      again.dispose();
    },
  );
});
