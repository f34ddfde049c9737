// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { ResNetBackbone, resnetConfig, SwinBackbone, swinConfig } from '../backbones/index.js';
import type { LayerKind, LayerSettings, LayerShape } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';

/** Input: pixels `[batch, H, W, 3]`. Outputs: a map per wanted stage, `[batch, H / stride, W / stride, channels]`. */
const SWIN_BACKBONE: LayerKind<SwinBackbone> = {
  className: 'SwinBackbone',
  build: (settings) => new SwinBackbone(swinConfig(settings)),
  call: (module, [pixels], options) => {
    const { levels } = module.forward(pixels as tf.Tensor4D, options);
    return levels.length === 1 ? levels[0]! : levels;
  },
  outputShape: swinShapes,
};

function swinShapes(settings: LayerSettings, [pixels]: LayerShape[]): LayerShape | LayerShape[] {
  const { out_features, patch_size, embed_dim } = swinConfig(settings);
  const [batch = null, height = null, width = null] = pixels ?? [];
  const shapes = out_features.map((name) => {
    const scale = 2 ** (Number(name.slice('stage'.length)) - 1);
    const cells = (size: number | null) => (size === null ? null : Math.ceil(size / (patch_size * scale)));
    return [batch, cells(height), cells(width), embed_dim * scale];
  });
  return shapes.length === 1 ? shapes[0]! : shapes;
}

/** Input: pixels `[batch, H, W, 3]`. Outputs: a map per wanted stage, `[batch, H / stride, W / stride, channels]`. */
const RESNET_BACKBONE: LayerKind<ResNetBackbone> = {
  className: 'ResNetBackbone',
  build: (settings) => new ResNetBackbone(resnetConfig(settings)),
  call: (module, [pixels], options) => {
    const { levels } = module.forward(pixels as tf.Tensor4D, options);
    return levels.length === 1 ? levels[0]! : levels;
  },
  outputShape: resnetShapes,
};

function resnetShapes(settings: LayerSettings, [pixels]: LayerShape[]): LayerShape | LayerShape[] {
  const { out_features, hidden_sizes, downsample_in_first_stage } = resnetConfig(settings);
  const [batch = null, height = null, width = null] = pixels ?? [];
  const shapes = out_features.map((name) => {
    const stage = Number(name.slice('stage'.length)) - 1;
    const stride = (downsample_in_first_stage ? 8 : 4) * 2 ** stage;
    const cells = (size: number | null) => (size === null ? null : Math.ceil(size / stride));
    return [batch, cells(height), cells(width), hidden_sizes[stage]!];
  });
  return shapes.length === 1 ? shapes[0]! : shapes;
}

/** `new ResNetBackboneLayer({ settings: { depths: [3, 4, 6, 3], ... } })` */
export const ResNetBackboneLayer = registerModuleLayer(RESNET_BACKBONE);

/** `new SwinBackboneLayer({ settings: { embed_dim: 96, ... } })` */
export const SwinBackboneLayer = registerModuleLayer(SWIN_BACKBONE);
