// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  backboneNames,
  buildBackbone,
  inferBackbone,
  swinV2Config,
} from '../../../src/models/backbones/index.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import type { StoredTensor } from '../../../src/models/weights/safetensors.js';
import { loadStateDict, saveStateDict } from '../../../src/models/weights/state_dict.js';

const SMALL = { embed_dim: 8, depths: [2, 2], num_heads: [1, 2], window_size: 4 };

beforeAll(async () => {
  await ready();
});

describe('SwinV2Backbone', () => {
  it('does not look at the bias of keys', () => {
    const backbone = buildBackbone('swin-v2', SMALL);
    const pixels = tf.randomNormal([1, 32, 32, 3], 0, 1, 'float32', 2) as tf.Tensor4D;
    const values = () => [...backbone.forward(pixels).levels[0]!.dataSync()];
    const before = values();
    const bias = backbone.namedParameters().get('features.1.0.attn.qkv.bias')!.variable;
    const set = (from: number) =>
      bias.assign(
        tf.tensor1d(Float32Array.from({ length: 24 }, (_, i) => (i >= from && i < from + 8 ? 3 : 0))),
      );
    set(8);
    expect(values()).toEqual(before);
    set(16);
    expect(values()).not.toEqual(before);
    backbone.dispose();
  });

  it('drops what is left behind the last whole patch', () => {
    const backbone = buildBackbone('swin-v2', SMALL);
    expect(backbone.levelShapes(23, 24)).toEqual([[3, 3]]);
    expect(backbone.levelShapes(24, 28)).toEqual([[3, 4]]);
    expect(() => backbone.forward(tf.zeros([1, 3, 9, 3]))).toThrow(/of at least 4x4 pixels/);
    backbone.dispose();
  });
});

describe('swinV2Config', () => {
  it.each([
    [
      { num_heads: [3, 6, 12] },
      'depths and num_heads must be lists of positive whole numbers, of one length',
    ],
    [{ embed_dim: 10 }, 'num_heads of stage 1, 3, does not divide 10 channels'],
    [{ window_size: 1 }, 'window_size must be at least 2'],
    [{ mlp_ratio: 0 }, 'mlp_ratio must be positive'],
  ])('refuses %j', (settings, message) => {
    expect(() => swinV2Config(settings)).toThrow(`swin-v2 config: ${message}`);
  });
});

describe('names of published Swins V2', () => {
  it.each(['', 'backbone.', 'backbone.backbone.', 'module.backbone.0.backbone.'])('behind "%s"', (prefix) => {
    const backbone = buildBackbone('swin-v2', SMALL);
    const saved = saveStateDict(backbone);
    const published = new Map([...saved].map(([name, tensor]) => [prefix + name, tensor]));
    const table: StoredTensor = { dtype: 'I64', shape: [256], data: new BigInt64Array(256) };
    for (const name of ['head.weight', 'norm.weight', 'features.1.0.attn.relative_coords_table']) {
      published.set(prefix + name, table);
    }
    published.set(`${prefix}features.1.0.attn.relative_position_index`, table);
    const names = chooseNames(backboneNames('swin-v2'), published.keys())!;
    const { matched, ignored } = loadStateDict(backbone, published, { names });
    expect([matched.length, ignored.length]).toEqual([saved.size, 4]);
    const shapes = new Map([...published].map(([name, { shape }]) => [name, shape]));
    expect(inferBackbone(shapes)).toMatchObject({ name: 'swin-v2', config: SMALL });
    backbone.dispose();
  });
});
