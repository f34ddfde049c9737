// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { backboneNames, buildBackbone, coatConfig } from '../../../src/models/backbones/index.js';
import { resizeBilinear } from '../../../src/models/layers/resize.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import { loadStateDict, saveStateDict } from '../../../src/models/weights/state_dict.js';

const SMALL = { embed_dims: [8, 8, 8, 8], serial_depths: [1, 1, 1, 1], mlp_ratios: [1, 1, 1, 1] };

describe.each<EngineId>(['tensorflow', 'cpu'])('resizeBilinear on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  it('reads by the centres of pixels, and its gradient gives back what it took', () => {
    const row = tf.tensor4d([0, 10, 20, 30], [1, 1, 4, 1]);
    const resize = (x: tf.Tensor, width: number) => resizeBilinear(x as tf.Tensor4D, [1, width]);
    expect([...resize(row, 2).dataSync()]).toEqual([5, 25]);
    expect([...resize(row, 8).dataSync()]).toEqual([0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]);
    expect(resizeBilinear(row, [1, 4])).toBe(row);
    const upstream = tf.tensor4d([1, 2], [1, 1, 2, 1]);
    const grad = tf.grad((x) => tf.mul(resize(x, 2), upstream))(row);
    expect([...grad.dataSync()]).toEqual([0.5, 0.5, 1, 1]);
  });

  it('takes rows and columns, channels and pictures by themselves', () => {
    const x = tf.randomNormal([2, 5, 7, 3], 0, 1, 'float32', 4) as tf.Tensor4D;
    const whole = resizeBilinear(x, [9, 4]);
    const part = resizeBilinear(tf.slice(x, [1, 0, 0, 2], [1, 5, 7, 1]), [9, 4]);
    const same = tf.sub(tf.slice(whole, [1, 0, 0, 2], [1, 9, 4, 1]), part);
    expect(tf.max(tf.abs(same)).dataSync()[0]).toBeLessThan(1e-6);
  });
});

describe('CoatBackbone', () => {
  beforeAll(async () => {
    await ready();
  });

  it('needs pictures as large as a cell of the last stage it runs', () => {
    const pixels = tf.zeros([1, 8, 8, 3]) as tf.Tensor4D;
    const fine = buildBackbone('coat', { ...SMALL, out_features: ['stage2'] });
    expect(fine.forward(pixels).levels[0]!.shape).toEqual([1, 1, 1, 8]);
    const parallel = buildBackbone('coat', { ...SMALL, out_features: ['stage2'], parallel_depth: 1 });
    expect(() => parallel.forward(pixels)).toThrow(/of at least 32x32 pixels/);
    for (const backbone of [fine, parallel]) backbone.dispose();
  });

  it('has one MLP for the three stages of a parallel block, and encodings for all blocks of a stage', () => {
    const backbone = buildBackbone('coat', { ...SMALL, parallel_depth: 1 });
    const variable = (name: string) => backbone.namedParameters().get(name)!.variable;
    expect(variable('parallel_blocks.0.mlp4.fc1.weight')).toBe(variable('parallel_blocks.0.mlp2.fc1.weight'));
    expect(variable('parallel_blocks.0.factoratt_crpe3.crpe.conv_list.0.bias')).toBe(
      variable('crpe3.conv_list.0.bias'),
    );
    expect(variable('serial_blocks2.0.cpe.proj.weight')).toBe(variable('cpe2.proj.weight'));
    backbone.dispose();
  });

  it.each([
    [{ embed_dims: [8, 8, 8] }, 'embed_dims, serial_depths and mlp_ratios must be lists'],
    [{ parallel_depth: -1 }, 'parallel_depth must be a whole number, 0 or more'],
    [
      { parallel_depth: 1, embed_dims: [8, 8, 16, 8] },
      'embed_dims and mlp_ratios of stages 2 to 4 must be equal',
    ],
    [{ embed_dims: [8, 8, 12, 8] }, 'embed_dims must be multiples of 8, and 12 is not'],
  ])('refuses %j', (settings, message) => {
    expect(() => coatConfig({ ...SMALL, ...settings })).toThrow(`coat config: ${message}`);
  });

  it('is read from files of detectors and of classifiers, which hold more', () => {
    const backbone = buildBackbone('coat', { ...SMALL, parallel_depth: 1 });
    const all = saveStateDict(backbone, { everyName: true });
    const [first] = all.values();
    const extra = [
      ['norm4.weight', 'classifier of whole pictures'],
      ['backbone.0.backbone.head.bias', 'classifier of whole pictures'],
      ['aggregate.weight', 'classifier of whole pictures'],
    ] as const;
    const published = new Map([...all].map(([name, tensor]) => [`backbone.0.backbone.${name}`, tensor]));
    for (const [name] of extra) published.set(name, first!);
    const names = chooseNames(backboneNames('coat'), published.keys())!;
    const { ignored, missing } = loadStateDict(backbone, published, { names });
    expect(missing).toEqual([]);
    expect(ignored).toEqual(extra.map(([name, why]) => ({ name, why })));
    backbone.dispose();
  });
});
