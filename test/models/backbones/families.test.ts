// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  type Backbone,
  backboneLayout,
  backboneNames,
  buildBackbone,
  checkBackbone,
  inferBackbone,
} from '../../../src/models/backbones/index.js';
import { seedInitialisers } from '../../../src/models/init.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';
import { saveStateDict } from '../../../src/models/weights/state_dict.js';
import { RandomStream } from '../../../src/ops/index.js';
import { allMaps, SMALL_BACKBONES } from './small_backbones.js';

// What every family must do, tested on a small network of each.

const picture = (batch: number, [height, width]: [number, number]) =>
  tf.randomNormal([batch, height, width, 3], 0, 1, 'float32', 5) as tf.Tensor4D;
const stream = (seed: number) => new RandomStream(tf.tensor1d([seed, 7], 'int32'));

describe.each(SMALL_BACKBONES)('$name', (row) => {
  const { family, maps, sizes } = row;
  const settings = allMaps(row);
  let backbone: Backbone;
  const build = (more: Record<string, unknown> = {}) => buildBackbone(family, { ...settings, ...more });

  beforeAll(async () => {
    await ready();
    seedInitialisers(3);
    backbone = build();
  });
  afterAll(() => backbone.dispose());

  it('gives maps of the sizes it announces, one by one as in a batch', () => {
    const { strides, channels } = backboneLayout(family, settings);
    expect([backbone.strides, backbone.channels]).toEqual([strides, channels]);
    for (const size of sizes) {
      tf.tidy(() => {
        const batch = picture(3, size);
        const { levels } = backbone.forward(batch);
        const shapes = backbone.levelShapes(...size).map(([h, w], i) => [3, h, w, channels[i]]);
        expect(levels.map(({ shape }) => shape)).toEqual(shapes);
        const alone = backbone.forward(tf.slice(batch, [1, 0, 0, 0], [1, ...size, 3])).levels;
        levels.forEach((level, i) => {
          const apart = tf.max(tf.abs(tf.sub(tf.slice(level, [1, 0, 0, 0], alone[i]!.shape), alone[i]!)));
          expect(apart.dataSync()[0]).toBeLessThan(2e-5);
        });
      });
    }
  });

  it('gives the same with and without taps, which have names', () => {
    tf.tidy(() => {
      const pixels = picture(1, sizes[1]!);
      const taps = new Map<string, tf.Tensor>();
      const tapped = backbone.forward(pixels, { taps }).levels;
      expect(taps.size).toBeGreaterThan(0);
      backbone.forward(pixels).levels.forEach((level, i) => {
        expect(tf.max(tf.abs(tf.sub(level, tapped[i]!))).dataSync()[0]).toBeLessThan(1e-5);
      });
    });
  });

  it('has a gradient for every parameter and keeps no tensor that the pass before did not keep', () => {
    const pixels = picture(2, sizes[1]!);
    const variables = [...backbone.trainableParameters().values()];
    const step = () =>
      tf.tidy(() => {
        const loss = () => tf.addN(backbone.forward(pixels).levels.map((level) => tf.sum(tf.square(level))));
        const { grads } = tf.variableGrads(loss as () => tf.Scalar, variables);
        const dead = Object.values(grads).filter((grad) => tf.max(tf.abs(grad)).dataSync()[0] === 0);
        return [Object.keys(grads).length, dead.length];
      });
    expect(step()).toEqual([variables.length, 0]);
    const kept = tf.memory().numTensors;
    step();
    expect(tf.memory().numTensors).toBe(kept);
    pixels.dispose();
  });

  it('frees all it made', () => {
    const before = tf.memory().numTensors;
    const other = build();
    tf.tidy(() => void other.forward(picture(1, sizes[0]!)));
    other.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('knows its own names in a file', () => {
    const own = [...saveStateDict(backbone).keys()];
    const names = chooseNames(backboneNames(family), own)!;
    expect(own.map((name) => names.place(name))).toEqual(own.map((name) => ({ name })));
  });

  it('follows from the shapes of its weights, also behind a prefix', () => {
    const shapes = [...saveStateDict(backbone)].map(([name, { shape }]) => [name, shape] as const);
    const { out_features, drop_path_rate, ...told } = settings as Record<string, unknown>;
    for (const prefix of ['', 'backbone.backbone.']) {
      const found = inferBackbone(new Map(shapes.map(([name, shape]) => [prefix + name, shape])));
      expect(found?.name).toBe(family);
      expect({ ...told, ...found?.config }).toEqual({ ...found?.config, ...told });
    }
  });

  it('refuses other pixels, unknown keys and stages that are not there', () => {
    expect(() => backbone.forward(tf.zeros([1, 3, 40, 40]))).toThrow(/expected \[batch, H, W, 3\]/);
    expect(() => build({ depts: 3 })).toThrow(`backbone ${family}: unknown key depts`);
    if (maps === 1) return;
    expect(() => checkBackbone(family, { ...settings, out_features: ['stage9'] }, 'here')).toThrow(
      /^here: out_features must be some of stage1/,
    );
  });
});

/** Families with stochastic depth. */
describe.each(SMALL_BACKBONES.filter(({ family }) => family !== 'resnet'))('$name in training', (row) => {
  it('drops branches by the seed, and only then', async () => {
    await ready();
    seedInitialisers(4);
    const settings = { ...row.settings, drop_path_rate: 0.5 };
    const backbone = buildBackbone(row.family, settings);
    const pixels = picture(2, row.sizes[1]!);
    const run = (random?: RandomStream) => [
      ...backbone
        .forward(pixels, { training: random !== undefined, random })
        .levels.at(-1)!
        .dataSync(),
    ];
    expect(run(stream(1))).toEqual(run(stream(1)));
    expect(new Set([1, 2, 3, 4].map((seed) => run(stream(seed)).join())).size).toBeGreaterThan(1);
    expect(() => backbone.forward(pixels, { training: true })).toThrow(/expected a RandomStream/);
    expect(() => buildBackbone(row.family, { ...settings, drop_path_rate: 1 })).toThrow(/\[0, 1\)/);
    backbone.dispose();
  });
});
