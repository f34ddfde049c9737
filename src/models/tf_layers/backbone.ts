// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import {
  type Backbone,
  backboneLayout,
  buildBackbone,
  type CoatBackbone,
  cellsOf,
  type EfficientNetBackbone,
  type MpvitBackbone,
  type ResNetBackbone,
  type SwinBackbone,
  type SwinV2Backbone,
  type VitBackbone,
} from '../backbones/index.js';
import type { LayerKind, LayerSettings, LayerShape } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';

/**
 * A family of backbones as a kind of layer. Inputs: pixels `[batch, H, W, channels]`, and metres per pixel `[batch, 1]` for
 * those that use them. Outputs: a map per wanted stage, `[batch, h, w, channels]`.
 */
function backboneKind<B extends Backbone>(className: string, family: string): LayerKind<B> {
  return {
    className,
    build: (settings) => buildBackbone(family, settings) as B,
    call: (module, [pixels, gsd], options) => {
      const metres = gsd ? { gsd: gsd.flatten() } : {};
      return oneOrMore(module.forward(pixels as tf.Tensor4D, { ...options, ...metres }).levels);
    },
    outputShape: (settings, [pixels]) => mapShapes(family, settings, pixels),
  };
}

/** Shapes of the maps for pictures of a shape with unknown sides as null. */
function mapShapes(
  family: string,
  settings: LayerSettings,
  [batch = null, height = null, width = null]: LayerShape = [],
): LayerShape | LayerShape[] {
  const layout = backboneLayout(family, settings);
  const cells = (size: number | null, stride: number) =>
    size === null ? null : cellsOf(layout, size, stride);
  return oneOrMore(
    layout.strides.map((stride, i) => [
      batch,
      cells(height, stride),
      cells(width, stride),
      layout.channels[i]!,
    ]),
  );
}

function oneOrMore<T>(list: T[]): T | T[] {
  return list.length === 1 ? list[0]! : list;
}

/** `new ResNetBackboneLayer({ settings: { depths: [3, 4, 6, 3], ... } })` */
export const ResNetBackboneLayer = registerModuleLayer(
  backboneKind<ResNetBackbone>('ResNetBackbone', 'resnet'),
);

/** `new SwinBackboneLayer({ settings: { embed_dim: 96, ... } })` */
export const SwinBackboneLayer = registerModuleLayer(backboneKind<SwinBackbone>('SwinBackbone', 'swin'));

/** `new SwinV2BackboneLayer({ settings: { embed_dim: 96, ... } })` */
export const SwinV2BackboneLayer = registerModuleLayer(
  backboneKind<SwinV2Backbone>('SwinV2Backbone', 'swin-v2'),
);

/** `new MpvitBackboneLayer({ settings: { embed_dims: [64, 96, 176, 216], ... } })` */
export const MpvitBackboneLayer = registerModuleLayer(backboneKind<MpvitBackbone>('MpvitBackbone', 'mpvit'));

/** `new CoatBackboneLayer({ settings: { embed_dims: [64, 128, 320, 512], ... } })` */
export const CoatBackboneLayer = registerModuleLayer(backboneKind<CoatBackbone>('CoatBackbone', 'coat'));

/** `new EfficientNetBackboneLayer({ settings: { widths: [16, 24, 40, 80, 112, 192, 320], ... } })` */
export const EfficientNetBackboneLayer = registerModuleLayer(
  backboneKind<EfficientNetBackbone>('EfficientNetBackbone', 'efficientnet'),
);

/** `new VitBackboneLayer({ settings: { embed_dim: 768, depth: 12, num_heads: 12, ... } })` */
export const VitBackboneLayer = registerModuleLayer(backboneKind<VitBackbone>('VitBackbone', 'scalemae'));
