// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { backboneNames, buildBackbone, type ResNetBackbone } from '../../../src/models/backbones/index.js';
import { chooseNames } from '../../../src/models/weights/name_map.js';

const SMALL = { embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 2], layer_type: 'basic' } as const;

beforeAll(async () => {
  await ready();
});

function small(settings: Record<string, unknown> = {}): ResNetBackbone {
  return buildBackbone('resnet', { ...SMALL, ...settings }) as ResNetBackbone;
}

const picture = () => tf.randomNormal([1, 37, 50, 3], 0, 1, 'float32', 1) as tf.Tensor4D;

describe('ResNetBackbone', () => {
  it('gives the maps that are asked for, of any size of picture', () => {
    const { levels, strides, channels } = small({ out_features: ['stage1', 'stage2'] }).forward(picture());
    expect(levels.map(({ shape }) => shape)).toEqual([
      [1, 10, 13, 8],
      [1, 5, 7, 16],
    ]);
    expect([strides, channels]).toEqual([
      [4, 8],
      [8, 16],
    ]);
  });

  it('keeps the size of the map before the last where that is dilated, and every weight', () => {
    const sizes = { hidden_sizes: [8, 16, 32], depths: [1, 1, 2], layer_type: 'bottleneck' };
    const out_features = ['stage2', 'stage3'];
    const plain = small({ ...sizes, out_features });
    const backbone = small({ ...sizes, out_features, dilation: true });
    const shapes = (b: ResNetBackbone) => b.forward(picture()).levels.map(({ shape }) => shape.slice(1, 3));
    expect([plain.strides, backbone.strides]).toEqual([
      [8, 16],
      [8, 8],
    ]);
    expect(shapes(plain)).toEqual([
      [5, 7],
      [3, 4],
    ]);
    expect(shapes(backbone)).toEqual([
      [5, 7],
      [5, 7],
    ]);
    const named = (b: ResNetBackbone) =>
      [...b.namedParameters()].map(([name, { variable }]) => [name, variable.shape]);
    expect(named(backbone)).toEqual(named(plain));
  });

  it('has as many weights in the convolutions of ResNet-50 as torchvision', () => {
    const backbone = buildBackbone('resnet-50');
    expect(backbone.parameterCount()).toBe(23_454_912);
    backbone.dispose();
  });

  it('trains nothing up to the frozen stage', () => {
    const names = (frozen: number) => [...small({ frozen_stages: frozen }).trainableParameters().keys()];
    expect(names(0)).toContain('embedder.embedder.convolution.weight');
    expect(names(1)[0]).toBe('encoder.stages.0.layers.0.layer.0.convolution.weight');
    expect(names(2)[0]).toMatch(/^encoder\.stages\.1\./);
    expect(names(3)).toEqual([]);
  });

  it('follows its parameters: folded weights are made anew when one changes, and freed with the model', () => {
    const before = tf.memory().numTensors;
    const backbone = small();
    tf.tidy(() => {
      const x = picture();
      const first = backbone.forward(x).levels[0]!;
      expect([...backbone.forward(x).levels[0]!.dataSync()]).toEqual([...first.dataSync()]);
      const shift = backbone.namedParameters().get('encoder.stages.1.layers.1.layer.1.normalization.bias')!;
      shift.variable.assign(tf.add(shift.variable, 10));
      const moved = tf.sub(backbone.forward(x).levels[0]!, first);
      expect(tf.max(moved).dataSync()[0]).toBeGreaterThan(5);
    });
    const warm = tf.memory().numTensors;
    tf.tidy(() => {
      backbone.forward(picture());
    });
    expect(tf.memory().numTensors).toBe(warm);
    backbone.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([
    [{ depth: [1] }, 'unknown key depth (did you mean depths?)'],
    [{ depths: [1] }, 'depths and hidden_sizes must be lists of positive whole numbers, of one length'],
    [{ layer_type: 'wide' }, 'layer_type must be basic or bottleneck, not wide'],
    [{ out_features: ['stage3'] }, 'out_features must be some of stage1, stage2'],
    [{ hidden_act: 'gelu' }, 'hidden_act must be relu, not gelu'],
    [{ dilation: true }, 'dilation needs bottlenecks and a second stage'],
    [{ dilation: 2 }, 'dilation must be true or false'],
    [{ frozen_stages: 9 }, 'frozen_stages must be a whole number from 0 to 3'],
  ])('refuses %j', (settings, message) => {
    expect(() => small(settings)).toThrow(`backbone resnet: ${message}`);
  });
});

describe('names of published ResNets', () => {
  const sizes = { hidden_sizes: [8, 8, 8, 8], depths: [2, 2, 2, 2] };
  const place = (origin: string, own: string) =>
    backboneNames('resnet-50')
      .find((map) => map.origin === origin)!
      .place(own).name;

  it.each([
    ['conv1.weight', 'embedder.embedder.convolution.weight'],
    ['bn1.running_mean', 'embedder.embedder.normalization.running_mean'],
    ['layer2.1.conv2.weight', 'encoder.stages.1.layers.1.layer.1.convolution.weight'],
    ['layer3.0.bn1.bias', 'encoder.stages.2.layers.0.layer.0.normalization.bias'],
    ['layer4.0.downsample.0.weight', 'encoder.stages.3.layers.0.shortcut.convolution.weight'],
    ['layer4.0.downsample.1.running_var', 'encoder.stages.3.layers.0.shortcut.normalization.running_var'],
  ])('%s is %s', (name, own) => {
    expect(place('torchvision', own)).toBe(name);
    expect([...small(sizes).namedParameters().keys()]).toContain(own);
  });

  it('are told apart, and classifiers and counters left out', () => {
    for (const [hallmark, origin, dropped] of [
      ['layer1.0.conv1.weight', 'torchvision', ['fc.weight', 'layer1.0.bn1.num_batches_tracked']],
      ['embedder.embedder.convolution.weight', 'Hugging Face', ['classifier.1.bias']],
      ['resnet.embedder.embedder.convolution.weight', 'Hugging Face', ['classifier.1.bias']],
    ] as const) {
      const map = chooseNames(backboneNames('resnet'), ['x', hallmark])!;
      expect(map.origin).toBe(origin);
      for (const name of dropped) expect(map.dropped.some(({ names }) => names.test(name))).toBe(true);
      expect(map.dropped.some(({ names }) => names.test(hallmark))).toBe(false);
    }
  });
});
