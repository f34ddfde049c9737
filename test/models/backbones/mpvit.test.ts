// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { backboneNames, buildBackbone, mpvitConfig } from '../../../src/models/backbones/index.js';
import { BatchNorm } from '../../../src/models/layers/batch_norm.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import { loadStateDict, saveStateDict } from '../../../src/models/weights/state_dict.js';

const SMALL = { embed_dims: [16, 24], num_layers: [1, 1], num_path: [1, 2], mlp_ratios: [2, 2] };

describe.each<EngineId>(['tensorflow', 'cpu'])('BatchNorm on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  it('normalises with the batch in training, and follows it slowly', () => {
    const norm = new BatchNorm(3);
    const x = tf.randomNormal([4, 5, 6, 3], 2, 3, 'float32', 8) as tf.Tensor4D;
    const y = norm.train(x);
    const { mean, variance } = tf.moments(y, [0, 1, 2]);
    for (const value of mean.dataSync()) expect(value).toBeCloseTo(0, 5);
    for (const value of variance.dataSync()) expect(value).toBeCloseTo(1, 4);
    const given = tf.moments(x, [0, 1, 2]);
    const averages = norm.namedParameters();
    const expected = [
      ['running_mean', tf.mul(given.mean, 0.1)],
      ['running_var', tf.add(0.9, tf.mul(given.variance, (0.1 * 120) / 119))],
    ] as const;
    for (const [name, value] of expected) {
      const got = averages.get(name)!.variable.dataSync();
      value.dataSync().forEach((each, i) => {
        expect(got[i]).toBeCloseTo(each, 5);
      });
    }
    norm.dispose();
  });

  it('has the gradient of its definition in training', () => {
    const norm = new BatchNorm(2);
    const x = tf.randomNormal([2, 3, 3, 2], 1, 2, 'float32', 3) as tf.Tensor4D;
    const upstream = tf.randomNormal(x.shape, 0, 1, 'float32', 4);
    const defined = (v: tf.Tensor) => {
      const { mean, variance } = tf.moments(v, [0, 1, 2]);
      return tf.mul(tf.div(tf.sub(v, mean), tf.sqrt(tf.add(variance, 1e-5))), upstream);
    };
    const own = tf
      .grad((v) => tf.mul(norm.train(v as tf.Tensor4D), upstream))(x)
      .dataSync();
    const wanted = tf.grad(defined)(x).dataSync();
    wanted.forEach((value, i) => {
      expect(own[i]).toBeCloseTo(value, 4);
    });
    norm.dispose();
  });
});

describe('MpvitBackbone', () => {
  beforeAll(async () => {
    await ready();
  });

  it('gives each stage the channels of the next', () => {
    const backbone = buildBackbone('mpvit', { ...SMALL, out_features: ['stage1', 'stage2'] });
    expect([backbone.strides, backbone.channels]).toEqual([
      [4, 8],
      [24, 24],
    ]);
    expect(
      backbone.namedParameters().has('mhca_stages.1.mhca_blks.1.MHCA_layers.0.crpe.conv_list.2.bias'),
    ).toBe(true);
    backbone.dispose();
  });

  it('knows what a training step left in its averages', () => {
    const backbone = buildBackbone('mpvit', SMALL);
    const pixels = tf.randomNormal([2, 32, 32, 3], 0, 1, 'float32', 2) as tf.Tensor4D;
    const values = () => [...backbone.forward(pixels).levels[0]!.dataSync()];
    const before = values();
    tf.tidy(() => void backbone.forward(pixels, { training: true }));
    expect(values()).not.toEqual(before);
    backbone.dispose();
  });

  it.each([
    [{ num_path: [1] }, 'embed_dims, num_layers, num_path and mlp_ratios must be lists of positive whole'],
    [{ embed_dims: [16, 20] }, 'embed_dims must be multiples of 8, and 20 is not'],
  ])('refuses %j', (settings, message) => {
    expect(() => mpvitConfig({ ...SMALL, ...settings })).toThrow(`mpvit config: ${message}`);
  });

  it('is read from files of detectors and of classifiers, which hold more', () => {
    const backbone = buildBackbone('mpvit', SMALL);
    const all = saveStateDict(backbone, { everyName: true });
    const [first] = all.values();
    const extra = [
      ['cls_head.cls.weight', 'classifier of whole pictures'],
      ['backbone.0.backbone.stem.0.bn.num_batches_tracked', 'counter of training steps'],
    ] as const;
    const published = new Map([...all].map(([name, tensor]) => [`backbone.0.backbone.${name}`, tensor]));
    for (const [name] of extra) published.set(name, first!);
    const names = chooseNames(backboneNames('mpvit'), published.keys())!;
    const { ignored, missing } = loadStateDict(backbone, published, { names });
    expect(missing).toEqual([]);
    expect(ignored).toEqual(extra.map(([name, why]) => ({ name, why })));
    backbone.dispose();
  });
});
