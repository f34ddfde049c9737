// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { catalogue, catalogueEntries, measureSize } from '../../src/models/catalogue.js';
import { PRESETS } from '../../src/models/config.js';
import { parseModelConfig } from '../../src/models/config_check.js';
import { PUBLISHED_FIGURES } from '../../src/models/published_figures.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

const size = (name: string, side: number | null) => measureSize(catalogueEntries([name])[0]!, side);

describe('the catalogue', () => {
  it('holds every name once, and every published figure has its model', () => {
    const names = catalogue().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(PUBLISHED_FIGURES).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('names what is not in it', () => {
    expect(() => catalogueEntries(['resnet-5'])).toThrow(/no preset "resnet-5".*Did you mean "resnet-50"/);
  });

  it.each(Object.entries(PRESETS))('%s is a configuration that can be read again', (name, config) => {
    expect(config.preset).toBe(name);
    expect(parseModelConfig(JSON.parse(JSON.stringify(config)), 'config.json')).toEqual(config);
  });

  // Published: parameters of the classifier without its last layer, multiply-adds at 224 pixels.
  it.each([
    ['resnet-18', 11.18, 1.81],
    ['resnet-50', 23.51, 4.09],
    ['efficientnet-b0', 3.63, 0.364],
    ['swin-tiny', 27.52, 4.5],
    ['coat-lite-tiny', 5.4, 1.6],
  ])('%s has its published size', (name, parameters, multiplyAdds) => {
    const found = size(name, 224);
    expect(found.parameters / 1e6 / parameters).toBeCloseTo(1, 1.9);
    expect(found.flops! / 2e9 / multiplyAdds).toBeGreaterThan(0.98);
    expect(found.flops! / 2e9 / multiplyAdds).toBeLessThan(1.15);
  });

  it('counts detectors and text encoders, and leaves nothing behind', () => {
    const before = tf.memory().numTensors;
    const [small, large] = [64, 128].map((side) => size('mdetr-g-tiny', side));
    expect(large!.parameters).toBe(small!.parameters);
    expect(large!.flops!).toBeGreaterThan(2 * small!.flops!);
    expect(size('minilm-l6', 64).flops).toBeGreaterThan(1e8);
    expect(size('minilm-l6', null)).toEqual({ parameters: size('minilm-l6', 64).parameters, flops: null });
    expect(tf.memory().numTensors).toBe(before);
  });
});
