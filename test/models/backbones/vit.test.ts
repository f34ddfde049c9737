// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  backboneNames,
  buildBackbone,
  gsdPositions,
  vitConfig,
} from '../../../src/models/backbones/index.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import { loadStateDict, saveStateDict } from '../../../src/models/weights/state_dict.js';

const SMALL = { embed_dim: 8, depth: 1, num_heads: 2, mlp_ratio: 1 };

beforeAll(async () => {
  await ready();
});

describe('gsdPositions', () => {
  it('counts columns, then rows, in metres', () => {
    const [, first, last] = tf.unstack(tf.reshape(gsdPositions([2, 3], 8, 0.5), [6, 8]));
    const waves = (x: number) => [Math.sin(x), Math.sin(x / 100), Math.cos(x), Math.cos(x / 100)];
    const close = (got: tf.Tensor, wanted: number[]) =>
      got.dataSync().forEach((value, i) => {
        expect(value).toBeCloseTo(wanted[i]!, 6);
      });
    close(first!, [...waves(0.5), ...waves(0)]);
    close(last!, [...waves(1), ...waves(0)]);
  });

  it('takes a number for each picture', () => {
    const both = gsdPositions([3, 2], 8, tf.tensor1d([0.3, 2]));
    [0.3, 2].forEach((gsd, i) => {
      const apart = tf.sub(tf.slice(both, [i, 0, 0, 0], [1, 3, 2, 8]), gsdPositions([3, 2], 8, gsd));
      expect(tf.max(tf.abs(apart)).dataSync()[0]).toBeLessThan(1e-6);
    });
  });
});

describe('VitBackbone', () => {
  it('sees how large a pixel is, of each picture by itself', () => {
    const backbone = buildBackbone('scalemae', SMALL);
    const one = tf.randomNormal([1, 32, 48, 3], 0, 1, 'float32', 3) as tf.Tensor4D;
    const pixels = tf.tile(one, [2, 1, 1, 1]);
    const level = backbone.forward(pixels, { gsd: tf.tensor1d([0.3, 10]) }).levels[0]!;
    expect(level.shape).toEqual([2, 2, 3, 8]);
    const [near, far] = tf.split(level, 2) as [tf.Tensor, tf.Tensor];
    expect(tf.max(tf.abs(tf.sub(near, far))).dataSync()[0]).toBeGreaterThan(1e-3);
    const alone = backbone.forward(one, { gsd: 10 }).levels[0]!;
    expect(tf.max(tf.abs(tf.sub(far, alone))).dataSync()[0]).toBeLessThan(1e-5);
    backbone.dispose();
  });

  it('says what it lacks', () => {
    const backbone = buildBackbone('scalemae', SMALL);
    const pixels = tf.zeros([2, 16, 16, 3]) as tf.Tensor4D;
    expect(() => backbone.forward(pixels)).toThrow(/metres per pixel for gsd, or default_gsd/);
    expect(() => backbone.forward(pixels, { gsd: 0 })).toThrow(/a number above 0, .* received 0/);
    expect(() => backbone.forward(pixels, { gsd: tf.tensor1d([1, 1, 1]) })).toThrow(
      /shape \[2\], .* received \[3\]/,
    );
    expect(() => backbone.forward(tf.zeros([1, 8, 16, 3]), { gsd: 1 })).toThrow(/of at least 16x16 pixels/);
    backbone.dispose();
  });

  it.each([
    [{ embed_dim: 10 }, 'embed_dim must be a multiple of 4'],
    [{ num_heads: 3 }, 'num_heads, 3, does not divide 8 channels'],
    [{ default_gsd: -1 }, 'default_gsd must be null or positive'],
    [{ class_token: 1 }, 'class_token must be true or false'],
  ])('refuses %j', (settings, message) => {
    expect(() => vitConfig({ ...SMALL, ...settings })).toThrow(`scalemae config: ${message}`);
  });

  it('is read from files of detectors and of classifiers, which hold more', () => {
    const backbone = buildBackbone('scalemae', { ...SMALL });
    const all = saveStateDict(backbone, { everyName: true });
    const [first] = all.values();
    const extra = [
      ['pos_embed', 'table that follows from metres per pixel'],
      ['decoder_blocks.0.norm1.weight', 'part of pretraining'],
      ['backbone.backbone.mask_token', 'part of pretraining'],
    ] as const;
    const published = new Map([...all].map(([name, tensor]) => [`backbone.backbone.${name}`, tensor]));
    for (const [name] of extra) published.set(name, first!);
    const names = chooseNames(backboneNames('scalemae'), published.keys())!;
    const { ignored, missing } = loadStateDict(backbone, published, { names });
    expect(missing).toEqual([]);
    expect(ignored).toEqual(extra.map(([name, why]) => ({ name, why })));
    backbone.dispose();
  });
});
