// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { noGrad } from '../../ops/index.js';
import type { DecoderLayerConfig } from '../deformable_decoder.js';
import { DeformableDecoder } from '../deformable_decoder.js';
import type { EncoderLayerConfig, LevelSequence, TextSequence } from '../deformable_encoder.js';
import { DeformableEncoder, encoderReferencePoints } from '../deformable_encoder.js';
import type { LayerKind, LayerShape } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { sinePosition } from '../layers/position.js';

// Image features come as maps [batch, H, W, C], finest first, all of one width and without padding.

/** Maps as one sequence with sine positions. */
function levelSequence(maps: tf.Tensor[]): LevelSequence {
  const [batch, , , channels] = maps[0]!.shape as [number, number, number, number];
  const shapes = maps.map((map) => [map.shape[1], map.shape[2]] as [number, number]);
  const tokens = tf.concat(
    maps.map((map) => map.reshape([batch, -1, channels])),
    1,
  );
  const positions = shapes.map(([h, w]) =>
    noGrad(() =>
      sinePosition(tf.ones([1, h, w]), channels / 2, { offset: 0.5 }).reshape([1, h * w, channels]),
    ),
  );
  return {
    tokens: tokens as tf.Tensor3D,
    position: tf.concat(positions, 1) as tf.Tensor3D,
    spatialShapes: shapes,
    mask: null,
    validRatios: null,
  };
}

/** Tokens in maps of these shapes, or null where a side is not known yet. */
function tokenCount(maps: LayerShape[]): number | null {
  return maps.reduce<number | null>((sum, [, height, width]) => {
    return sum === null || height == null || width == null ? null : sum + height * width;
  }, 0);
}

interface MSDeformAttnSettings {
  dModel: number;
  heads: number;
  levels: number;
  points: number;
}

/**
 * Inputs: the maps alone, then every token looks around itself in every level and the output is `[batch, tokens, C]`;
 * or queries `[batch, Q, C]`, reference points `[batch, Q, levels, 2 or 4]` in [0, 1], and the maps, for `[batch, Q, C]`.
 */
const MS_DEFORM_ATTN: LayerKind<MSDeformAttn> = {
  className: 'MSDeformAttn',
  build: (settings) => new MSDeformAttn(settings as unknown as MSDeformAttnSettings),
  call: (module, inputs) => {
    const { levels } = module;
    const image = levelSequence(inputs.slice(inputs.length - levels));
    const own = inputs.length === levels;
    const query = own ? tf.add(image.tokens, image.position) : inputs[0]!;
    const reference = own ? encoderReferencePoints(image) : inputs[1]!;
    return module.forward(query, reference, image.tokens, image.spatialShapes, null);
  },
  outputShape: (settings, inputs) => {
    const { dModel, levels } = settings as unknown as MSDeformAttnSettings;
    const maps = inputs.slice(inputs.length - levels);
    if (inputs.length !== levels && inputs.length !== levels + 2) {
      throw new Error(
        `[MSDeformAttn] expected ${levels} maps, or queries, reference points and ${levels} maps but received ${inputs.length} inputs`,
      );
    }
    const queries = inputs.length === levels ? tokenCount(maps) : inputs[0]![1]!;
    return [inputs[0]![0]!, queries, dModel];
  },
};

/** Text tokens `[batch, T, C]` and their mask `[batch, T]`, 1 = real. */
function textSequence(tokens: tf.Tensor | undefined, mask: tf.Tensor | undefined): TextSequence {
  return { tokens: tokens as tf.Tensor3D, mask: tf.cast(mask!, 'float32') as tf.Tensor2D };
}

/** Inputs: text, its mask, and the maps. Outputs: image tokens `[batch, S, C]`, text tokens `[batch, T, C]`. */
const DEFORMABLE_ENCODER: LayerKind<DeformableEncoder> = {
  className: 'DeformableEncoder',
  build: (settings) => new DeformableEncoder(settings as unknown as EncoderLayerConfig & { layers: number }),
  call: (module, [text, mask, ...maps]) => {
    const { image, text: words } = module.forward(levelSequence(maps), textSequence(text, mask));
    return [image, words];
  },
  outputShape: (_, [text, , ...maps]) => [[text![0]!, tokenCount(maps), text![2]!], [...text!]],
};

/**
 * Inputs: first content of the queries `[batch, Q, C]`, first boxes `[batch, Q, 4]` as (cx, cy, w, h) in [0, 1], text, its
 * mask, and the maps. Outputs, of the last layer: queries `[batch, Q, C]`, boxes `[batch, Q, 4]`.
 */
const DEFORMABLE_DECODER: LayerKind<DeformableDecoder> = {
  className: 'DeformableDecoder',
  build: (settings) => new DeformableDecoder(settings as unknown as DecoderLayerConfig & { layers: number }),
  call: (module, [content, boxes, text, mask, ...maps]) => {
    const layers = module.forward(
      content as tf.Tensor3D,
      boxes as tf.Tensor3D,
      levelSequence(maps),
      textSequence(text, mask),
    );
    const last = layers.at(-1)!;
    return [last.hidden, last.boxes];
  },
  outputShape: (_, [content, boxes]) => [[...content!], [...boxes!]],
};

/** `new MSDeformAttnLayer({ settings: { dModel: 128, heads: 8, levels: 3, points: 4 } })` */
export const MSDeformAttnLayer = registerModuleLayer(MS_DEFORM_ATTN);

/** `new DeformableEncoderLayer({ settings: { dModel, heads, levels, points, ffn, layers, textToImage, imageToText } })` */
export const DeformableEncoderLayer = registerModuleLayer(DEFORMABLE_ENCODER);

/** `new DeformableDecoderLayer({ settings: { dModel, heads, levels, points, ffn, layers } })` */
export const DeformableDecoderLayer = registerModuleLayer(DEFORMABLE_DECODER);
