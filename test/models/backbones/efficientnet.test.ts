// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  backboneConfig,
  backboneLayout,
  backboneNames,
  buildBackbone,
  inferBackbone,
} from '../../../src/models/backbones/index.js';
import { withoutValues } from '../../../src/models/init.js';
import { saveStateDict } from '../../../src/models/weights/state_dict.js';
import { SMALL_BACKBONES } from './small_backbones.js';

const { settings } = SMALL_BACKBONES.find(({ family }) => family === 'efficientnet')!;

beforeAll(async () => {
  await ready();
});

describe('EfficientNets', () => {
  // timm's features of tf_efficientnet_*: channels of the four maps, and values that are learned, batch norm's apart.
  it.each([
    ['efficientnet-b0', [24, 40, 112, 320], 3_555_932],
    ['efficientnet-b3', [32, 48, 136, 384], 10_019_112],
    ['efficientnet-b5', [40, 64, 176, 512], 27_119_472],
    ['efficientnet-b7', [48, 80, 224, 640], 61_837_840],
  ])('%s is as large as the published one', (name, channels, weights) => {
    const out_features = ['stage1', 'stage2', 'stage3', 'stage4'];
    expect(backboneLayout(name, { out_features })).toEqual({ strides: [4, 8, 16, 32], channels });
    const backbone = withoutValues(() => buildBackbone(name));
    expect(backbone.parameterCount()).toBe(weights);
    backbone.dispose();
  });

  it('pads at the right and bottom before the left and top, as TensorFlow does', () => {
    const backbone = buildBackbone('efficientnet', settings);
    tf.tidy(() => {
      // Of two columns, the stem's only output looks at both and at one of zeros behind them.
      const taps = new Map<string, tf.Tensor>();
      const pixels = tf.randomNormal([1, 2, 2, 3], 0, 1, 'float32', 4) as tf.Tensor4D;
      backbone.forward(pixels, { taps });
      const weight = backbone.namedParameters().get('conv_stem.weight')!.variable;
      const seen = tf.sum(
        tf.mul(tf.squeeze(tf.slice(weight, [0, 0], [2, 2])), tf.expandDims(tf.squeeze(pixels), 3)),
        [0, 1, 2],
      );
      // A fresh norm has the variance 1.
      const normed = tf.div(seen, Math.sqrt(1 + 1e-3));
      const wanted = tf.mul(normed, tf.sigmoid(normed));
      expect(tf.max(tf.abs(tf.sub(tf.squeeze(taps.get('stem')!), wanted))).dataSync()[0]).toBeLessThan(1e-6);
    });
    backbone.dispose();
  });

  it('have names of timm, and tell their size', () => {
    const backbone = withoutValues(() => buildBackbone('efficientnet-b3'));
    const state = saveStateDict(backbone, { names: backboneNames('efficientnet-b3')[0]! });
    backbone.dispose();
    expect(state.get('conv_stem.weight')!.shape).toEqual([40, 3, 3, 3]);
    expect(state.get('blocks.0.1.conv_pw.weight')!.shape).toEqual([24, 24, 1, 1]);
    expect(state.get('blocks.2.0.conv_dw.weight')!.shape).toEqual([192, 1, 5, 5]);
    expect(state.get('blocks.2.0.se.conv_reduce.weight')!.shape).toEqual([8, 192, 1, 1]);
    expect(state.get('blocks.6.1.bn3.running_var')!.shape).toEqual([384]);
    const shapes = new Map([...state].map(([name, { shape }]) => [`backbone.0.body.${name}`, shape]));
    expect(inferBackbone(shapes)).toEqual({ name: 'efficientnet-b3', config: {} });
  });

  it('follow the constant of batch norm', () => {
    tf.tidy(() => {
      const pixels = tf.ones([1, 40, 40, 3]) as tf.Tensor4D;
      const [own, other] = [1e-3, 0.5].map((batch_norm_eps) => {
        const backbone = buildBackbone('efficientnet', {
          ...settings,
          batch_norm_eps,
          out_features: ['stage1'],
        });
        for (const { variable } of backbone.namedParameters().values())
          variable.assign(tf.fill(variable.shape, 0.1));
        const [map] = backbone.forward(pixels).levels;
        backbone.dispose();
        return map!;
      });
      expect(tf.max(tf.abs(tf.sub(own!, other!))).dataSync()[0]).toBeGreaterThan(1e-3);
    });
  });

  it.each([
    [{ depths: [1] }, /widths, depths, kernels, strides and expand_ratios must be lists .* of one length/],
    [{ kernels: [3, 3, 4, 3, 5, 3] }, /kernels must be odd/],
    [{ strides: [1, 2, 3, 2, 1, 2] }, /strides must be 1 or 2/],
    [{ strides: [1, 1, 1, 1, 1, 1] }, /strides must make a map of stride 4 at least/],
    [{ batch_norm_eps: 0 }, /batch_norm_eps must be a number above 0/],
    [{ out_features: ['stage5'] }, /out_features must be some of stage1, stage2, stage3, stage4/],
  ])('refuse %j', (more, message) => {
    expect(() => backboneConfig('efficientnet', { ...settings, ...more })).toThrow(message);
  });
});
