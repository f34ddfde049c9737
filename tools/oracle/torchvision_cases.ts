// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { backboneConfig, buildBackbone } from '../../src/models/backbones/index.js';
import { buildModel } from '../../src/models/build.js';
import { preset, type ScaleMaeDetConfig } from '../../src/models/config.js';
import type { Module } from '../../src/models/module.js';
import { convertCheckpoint } from '../../src/models/published/index.js';
import type { ScaleMaeDet, ScaleMaeDetOutput } from '../../src/models/scalemae_det/index.js';
import type { TensorToWrite } from '../../src/models/weights/safetensors.js';
import { saveModelFolder } from '../../src/train/checkpoint.js';
import { stirred } from '../stir.js';
import { channelsFirst, floats, integers, pictures, type WeightsCase, writeExample } from './examples.js';

/** Every kind of weights that torchvision's models take. A new one is a row here, named by torchvision's function. */
export const TORCHVISION_CASES: readonly WeightsCase[] = [
  { name: 'tv-resnet50', write: (folder) => writeBackbone(folder, 'resnet-50') },
  { name: 'tv-swin_v2_t', write: (folder) => writeBackbone(folder, 'swin-v2-tiny') },
  { name: 'tv-fasterrcnn', write: (folder) => writeScaleMaeDet(folder, 'scalemae-det') },
  { name: 'tv-fasterrcnn-upstream', write: (folder) => writeScaleMaeDet(folder, 'scalemae-det-upstream') },
];

async function writeBackbone(folder: string, name: string): Promise<void> {
  const settings = { out_features: ['stage1', 'stage2', 'stage3', 'stage4'] };
  const model = stirred(buildBackbone(name, settings));
  await saveFor(folder, model, backboneConfig(name, settings), 'torchvision');
  tf.tidy(() => {
    const { pixels } = pictures([160, 96], [160, 96]);
    const maps = model.forward(pixels).levels.map((level, i) => {
      return [`out/map.${i}`, floats(channelsFirst(level))] as const;
    });
    writeExample(folder, { 'in/pixels': floats(channelsFirst(pixels)), ...Object.fromEntries(maps) });
  });
  model.dispose();
}

/** A smaller one; Faster R-CNN reads the map of its vision transformer, which torchvision has not. */
async function writeScaleMaeDet(
  folder: string,
  name: 'scalemae-det' | 'scalemae-det-upstream',
): Promise<void> {
  const base = preset(name);
  const settings = { embed_dim: 64, depth: 2, num_heads: 1, mlp_ratio: 2 };
  const config: ScaleMaeDetConfig = {
    ...base,
    backbone: { name: 'scalemae', config: { ...base.backbone.config, ...settings } },
    detector: {
      ...base.detector,
      channels: 32,
      hidden: 64,
      candidates: 200,
      proposals: 100,
      leastScore: 0.02,
    },
    labels: base.labels.slice(0, 12),
    imageSize: 224,
  };
  const model = stirred(buildModel(config, 5));
  await saveFor(folder, model, config, 'original');
  tf.tidy(() => {
    const { pixels, mask } = pictures([224, 224], [160, 192]);
    const output = model.forward({ pixels, pixelMask: mask }, { intermediates: true });
    const [batch, height, width] = [pixels.shape[0], pixels.shape[1] / 16, pixels.shape[2] / 16];
    const tokens = tf.reshape(output.intermediates['backbone.tokens']!, [batch, height, width, -1]);
    const { anchorOutput, proposals, sizes } = output.stage;
    writeExample(folder, {
      'in/map': floats(channelsFirst(tokens as tf.Tensor4D)),
      'in/sizes': integers(tf.reverse(sizes, 1)),
      'out/objectness': floats(anchorOutput.objectness),
      'out/anchor_deltas': floats(anchorOutput.deltas),
      'out/proposals': floats(proposals.boxes),
      'out/class_logits': floats(output.classLogits),
      'out/box_deltas': floats(output.deltas),
      ...(config.detector.parity === 'upstream' ? {} : detections(model, output)),
    });
  });
  model.dispose();
}

/** As the published program is wired, all boxes say the same, and only the order of equals tells which are kept: not there. */
function detections(model: ScaleMaeDet, output: ScaleMaeDetOutput): Record<string, TensorToWrite> {
  const { sizes } = output.stage;
  const { scores, labels, boxes } = model.detections(output);
  const scale = tf.expandDims(tf.concat([sizes, sizes], 1), 1);
  return {
    'out/scores': floats(scores),
    'out/labels': integers(labels),
    'out/boxes': floats(tf.mul(boxes, scale)),
  };
}

/** As a user does it: a folder of ours, converted to `weights.pth`. */
async function saveFor(folder: string, model: Module, config: object, names: string): Promise<void> {
  const own = `${folder}-own`;
  saveModelFolder(own, model, { 'config.json': JSON.stringify(config) });
  mkdirSync(folder, { recursive: true });
  await convertCheckpoint(own, join(folder, 'weights.pth'), { names });
  rmSync(own, { recursive: true });
}
