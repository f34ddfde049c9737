// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import {
  backboneNames,
  buildBackbone,
  inferBackbone,
  loadSwinBackbone,
  loadSwinModel,
  SwinBackbone,
  SwinModel,
  swinConfig,
} from '../../../src/models/backbones/index.js';
import { seedInitialisers } from '../../../src/models/init.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import { readSafetensorsSync, type StoredTensor } from '../../../src/models/weights/safetensors.js';
import { saveStateDict, storeTensor } from '../../../src/models/weights/state_dict.js';
import { RandomStream } from '../../../src/ops/index.js';

/** The stream of a seed. */
const stream = (seed: number) => new RandomStream(tf.tensor1d([seed, 7], 'int32'));

const FIXTURES = 'test/fixtures/swin';

interface Case {
  name: string;
  kind: 'backbone' | 'model';
  config: { model: string };
  files: string[];
  tensors: Record<string, { shape: number[]; tol?: number }>;
}

const { cases } = JSON.parse(readFileSync(join(FIXTURES, 'manifest.json'), 'utf8')) as { cases: Case[] };

function toTensor({ data, shape }: StoredTensor): tf.Tensor {
  return tf.tensor(data as Float32Array, shape);
}

/** Everything the network gives: outputs under `out/`, inner values under `mid/`, in the layouts of the file. */
function outputs(
  network: SwinBackbone | SwinModel,
  pixels: tf.Tensor4D,
  taps?: Map<string, tf.Tensor>,
): Map<string, tf.Tensor> {
  const toFile = (tensor: tf.Tensor) => (tensor.rank === 4 ? tensor.transpose([0, 3, 1, 2]) : tensor);
  const result = new Map<string, tf.Tensor>();
  if (network instanceof SwinBackbone) {
    const { levels } = network.forward(pixels, { taps });
    for (const [i, level] of levels.entries())
      result.set(`out/${network.config.out_features[i]}`, toFile(level));
  } else {
    const { lastHiddenState, poolerOutput } = network.forward(pixels, { taps });
    result.set('out/last_hidden_state', lastHiddenState).set('out/pooler_output', poolerOutput);
  }
  for (const [name, tensor] of taps ?? []) {
    result.set(`${name.startsWith('raw.') ? 'out' : 'mid'}/${name}`, toFile(tensor));
  }
  return result;
}

const ENGINES: EngineId[] = ['cpu', 'tensorflow'];
const runs = ENGINES.flatMap((engine) => cases.map((entry) => ({ engine, ...entry })));

describe.each(runs)('fixture $name on engine $engine', ({ engine, kind, config, files, tensors }) => {
  beforeAll(async () => {
    await ready({ engine });
  });
  const stored = readSafetensorsSync(join(FIXTURES, files[0]!));
  const folder = join(FIXTURES, config.model);
  const load = async () =>
    kind === 'backbone' ? (await loadSwinBackbone(folder)).backbone : (await loadSwinModel(folder)).model;
  const pixels = () => toTensor(stored.get('in/pixel_values')!).transpose([0, 2, 3, 1]) as tf.Tensor4D;
  const expectWithin = (name: string, { data, shape }: { data: ArrayLike<number>; shape: number[] }) => {
    const wanted = stored.get(name)!;
    expect([name, shape]).toEqual([name, wanted.shape]);
    const worst = Array.from(data).reduce(
      (max, value, i) => Math.max(max, Math.abs(value - Number(wanted.data[i]))),
      0,
    );
    expect([name, worst <= tensors[name]!.tol!]).toEqual([name, true]);
  };
  const wanted = Object.keys(tensors).filter((name) => tensors[name]!.tol !== undefined);

  it('has its outputs and inner values', async () => {
    const network = await load();
    const got = outputs(network, pixels(), new Map());
    for (const name of wanted.filter((key) => !key.startsWith('grad/'))) {
      const tensor = got.get(name);
      expect([name, tensor !== undefined]).toEqual([name, true]);
      expectWithin(name, { data: tensor!.dataSync(), shape: tensor!.shape });
    }
  });

  it('has its gradients', async () => {
    const network = await load();
    const parameters = network.namedParameters();
    const loss = () => {
      const got = outputs(network, variable as unknown as tf.Tensor4D);
      const parts = [...got].flatMap(([name, value]) => {
        const upstream = stored.get(name.replace('out/', 'in/upstream.'));
        return upstream ? [tf.sum(tf.mul(value, toTensor(upstream)))] : [];
      });
      return tf.addN(parts) as tf.Scalar;
    };
    const variable = tf.variable(pixels());
    const { grads } = tf.variableGrads(loss);
    for (const name of wanted.filter((key) => key.startsWith('grad/'))) {
      const own = name.slice('grad/'.length);
      const { variable: of, layout } =
        own === 'pixel_values' ? { variable, layout: 'pixels' as const } : parameters.get(own)!;
      const grad = grads[of.name]!;
      const inFile =
        layout === 'pixels'
          ? { data: grad.transpose([0, 3, 1, 2]).dataSync(), shape: stored.get(name)!.shape }
          : (storeTensor(grad, layout) as { data: Float32Array; shape: number[] });
      expectWithin(name, inFile);
    }
  });
});

beforeAll(async () => {
  await ready();
});

const SMALL = { embed_dim: 8, depths: [2, 2], num_heads: [2, 2], window_size: 4, mlp_ratio: 2 };

describe('SwinBackbone', () => {
  it('gives maps of rounded-up size for any picture, one by one as in a batch', () => {
    for (const stem of ['patch', 'conv']) {
      const backbone = buildBackbone('swin', { ...SMALL, stem, out_features: ['stage1', 'stage2'] });
      expect(backbone).toMatchObject({ strides: [4, 8], channels: [8, 16] });
      for (const [height, width] of [
        [1, 1],
        [33, 17],
        [40, 20],
      ] as const) {
        const batch = tf.randomNormal([3, height, width, 3], 0, 1, 'float32', 5) as tf.Tensor4D;
        const { levels } = backbone.forward(batch);
        expect(levels.map(({ shape }) => shape)).toEqual(
          [4, 8].map((s, i) => [3, Math.ceil(height / s), Math.ceil(width / s), 8 * 2 ** i]),
        );
        const alone = backbone.forward(batch.slice([1, 0, 0, 0], [1, height, width, 3])).levels;
        levels.forEach((level, i) => {
          const same = tf.max(tf.abs(tf.sub(tf.slice(level, [1, 0, 0, 0], alone[i]!.shape), alone[i]!)));
          expect(same.dataSync()[0]).toBeLessThan(1e-5);
        });
      }
    }
  });

  it('keeps no tensor that the pass before did not keep', () => {
    const backbone = buildBackbone('swin', SMALL);
    const pixels = tf.zeros([2, 30, 26, 3]) as tf.Tensor4D;
    const step = () =>
      tf.tidy(() => {
        const loss = () => tf.sum(backbone.forward(pixels).levels[0]!) as tf.Scalar;
        const { grads } = tf.variableGrads(loss, [...backbone.trainableParameters().values()]);
        return Object.keys(grads).length;
      });
    const before = tf.memory().numTensors - [...backbone.namedParameters()].length;
    step();
    const kept = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) step();
    expect(tf.memory().numTensors).toBe(kept);
    backbone.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('shrinks the window to a map smaller than it in SwinModel only', () => {
    seedInitialisers(3);
    const model = new SwinModel(swinConfig({ ...SMALL, window_size: 7 }));
    const taps = new Map<string, tf.Tensor>();
    const { lastHiddenState, poolerOutput } = model.forward(tf.ones([1, 20, 24, 3]), { taps });
    expect([lastHiddenState.shape, poolerOutput.shape]).toEqual([
      [1, 9, 16],
      [1, 16],
    ]);
    expect(taps.get('block1.attention_in')!.shape).toEqual([2, 25, 8]);
    const backbone = new SwinBackbone(swinConfig({ ...SMALL, window_size: 7 }));
    backbone.forward(tf.ones([1, 20, 24, 3]), { taps });
    expect(taps.get('block1.attention_in')!.shape).toEqual([1, 49, 8]);
  });

  it('drops branches by the seed in training only, and keeps their mean', () => {
    const backbone = buildBackbone('swin', { ...SMALL, drop_path_rate: 0.5 });
    const pixels = tf.randomNormal([2, 16, 16, 3], 0, 1, 'float32', 9) as tf.Tensor4D;
    const run = (random?: RandomStream) => [
      ...backbone.forward(pixels, { training: random !== undefined, random }).levels[0]!.dataSync(),
    ];
    expect(run(stream(1))).toEqual(run(stream(1)));
    expect(run(stream(1))).not.toEqual(run(stream(2)));
    expect(run()).toEqual(run());
    expect(() => backbone.forward(pixels, { training: true })).toThrow(/expected a RandomStream/);
  });

  it('refuses pixels of another form and pictures without their positions', () => {
    const backbone = buildBackbone('swin', { ...SMALL, use_absolute_embeddings: true, image_size: 16 });
    expect(() => backbone.forward(tf.zeros([1, 3, 16, 16]))).toThrow(/expected \[batch, H, W, 3\]/);
    expect(() => backbone.forward(tf.zeros([1, 16, 20, 3]))).toThrow(/expected 4x4 patches .* received 4x5/);
  });
});

describe('configuration', () => {
  it('refuses what cannot be, by name', () => {
    const refused: [Record<string, unknown>, RegExp][] = [
      [{ window_sise: 7 }, /unknown key window_sise \(did you mean window_size\?\)/],
      [{ num_heads: [3, 6, 12] }, /of one length/],
      [{ embed_dim: 10 }, /does not divide/],
      [{ out_features: ['stage2', 'stage1'] }, /in this order/],
      [{ hidden_act: 'glu' }, /hidden_act must be one of gelu, .*, not glu/],
      [{ hidden_dropout_prob: 0.1 }, /hidden_dropout_prob is not supported/],
      [{ drop_path_rate: 1 }, /\[0, 1\)/],
      [{ stem: 'conv', patch_size: 2 }, /stem conv needs patch_size 4/],
    ];
    for (const [settings, message] of refused) expect(() => swinConfig(settings)).toThrow(message);
  });

  it('knows families and sizes, and suggests', () => {
    expect(() => buildBackbone('swin-tinny')).toThrow(/did you mean swin-tiny\?/);
    expect(() => buildBackbone('vgg')).toThrow(/known: swin, swin-tiny/);
    expect(buildBackbone('swin-micro').channels).toEqual([64, 128, 256]);
  });

  it('takes wanted stages from a file with more, and says which norms are missing', async () => {
    const { backbone, report } = await loadSwinBackbone(join(FIXTURES, 'w4'), {
      out_features: ['stage2', 'stage4'],
    });
    expect(backbone.strides).toEqual([8, 32]);
    expect(report.ignored).toContainEqual({
      name: 'hidden_states_norms.stage1.weight',
      why: 'norm of a map that is not asked for',
    });
    expect(report.missing).toEqual([]);
    const other = await loadSwinBackbone(join(FIXTURES, 'absolute'));
    expect(other.report.missing.every((name) => name.startsWith('hidden_states_norms.'))).toBe(true);
    expect(other.report.missing).not.toEqual([]);
  });
});

describe('names of published Swins', () => {
  const place = (origin: string, own: string) =>
    backboneNames('swin')
      .find((map) => map.origin === origin)!
      .place(own);
  const block = 'encoder.layers.2.blocks.1';

  it.each([
    ['original', 'embeddings.patch_embeddings.projection.weight', 'patch_embed.proj.weight'],
    ['original', 'embeddings.norm.bias', 'patch_embed.norm.bias'],
    ['original', 'embeddings.position_embeddings', 'absolute_pos_embed'],
    ['original', `${block}.layernorm_before.weight`, 'layers.2.blocks.1.norm1.weight'],
    ['original', `${block}.layernorm_after.weight`, 'layers.2.blocks.1.norm2.weight'],
    [
      'original',
      `${block}.attention.self.relative_position_bias_table`,
      'layers.2.blocks.1.attn.relative_position_bias_table',
    ],
    ['original', `${block}.attention.output.dense.bias`, 'layers.2.blocks.1.attn.proj.bias'],
    ['original', `${block}.intermediate.dense.bias`, 'layers.2.blocks.1.mlp.fc1.bias'],
    ['original', `${block}.output.dense.bias`, 'layers.2.blocks.1.mlp.fc2.bias'],
    ['original', 'encoder.layers.0.downsample.reduction.weight', 'layers.0.downsample.reduction.weight'],
    ['original', 'hidden_states_norms.stage2.weight', 'norm1.weight'],
    ['original', 'layernorm.weight', 'norm.weight'],
    ['timm', 'encoder.layers.0.downsample.reduction.weight', 'layers.1.downsample.reduction.weight'],
    ['timm', `${block}.intermediate.dense.bias`, 'layers.2.blocks.1.mlp.fc1.bias'],
    ['torchvision', 'embeddings.patch_embeddings.projection.weight', 'features.0.0.weight'],
    ['torchvision', 'embeddings.norm.bias', 'features.0.2.bias'],
    ['torchvision', `${block}.intermediate.dense.bias`, 'features.5.1.mlp.0.bias'],
    ['torchvision', `${block}.output.dense.bias`, 'features.5.1.mlp.3.bias'],
    ['torchvision', 'encoder.layers.1.downsample.norm.weight', 'features.4.norm.weight'],
  ])('%s: %s is %s', (origin, own, name) => {
    expect(place(origin, own)).toEqual({ name });
  }); // prettier-ignore

  it('pack query, key and value', () => {
    const parts = ['query', 'key', 'value'].map((part) =>
      place('original', `${block}.attention.self.${part}.weight`),
    );
    expect(parts).toEqual(
      [0, 1, 2].map((index) => ({ name: 'layers.2.blocks.1.attn.qkv.weight', part: { index, count: 3 } })),
    );
  });

  it('are told apart, and sizes follow from their shapes', async () => {
    const { backbone } = await loadSwinBackbone(join(FIXTURES, 'w4'));
    const { embed_dim, depths, num_heads, window_size, mlp_ratio } = backbone.config;
    for (const names of backboneNames('swin')) {
      const saved = saveStateDict(backbone, { names });
      expect(chooseNames(backboneNames('swin'), saved.keys())).toBe(names);
      const found = inferBackbone(new Map([...saved].map(([name, { shape }]) => [name, shape])));
      expect(found).toMatchObject({
        name: 'swin',
        config: { embed_dim, depths, num_heads, window_size, mlp_ratio },
      });
    }
    const tiny = new Map(
      [...saveStateDict(buildBackbone('swin-tiny'))].map(([name, { shape }]) => [name, shape]),
    );
    expect(inferBackbone(tiny)).toEqual({
      name: 'swin-tiny',
      config: { out_features: ['stage2', 'stage3', 'stage4'] },
    });
  });
});
