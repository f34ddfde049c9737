// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { argumentError, noGrad } from '../../ops/index.js';
import type { DecoderLayerConfig } from '../deformable_decoder.js';
import { DeformableDecoder } from '../deformable_decoder.js';
import type { EncoderLayerConfig, LevelSequence, TextSequence } from '../deformable_encoder.js';
import { DeformableEncoder, encoderReferencePoints } from '../deformable_encoder.js';
import type { LayerKind, LayerShape } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import { MSDeformAttn } from '../layers/ms_deform_attn.js';
import { sinePosition } from '../layers/position.js';
import { validRatio } from '../level_projection.js';

// Image features come as maps [batch, H, W, C], finest first, all of one width and without padding.

/** Maps as one sequence with sine positions. @param masks `[batch, H, W]` of each map, 1 = real, or none at all */
function levelSequence(maps: tf.Tensor[], masks: tf.Tensor[] = []): LevelSequence {
  const [batch, , , channels] = maps[0]!.shape as [number, number, number, number];
  const shapes = maps.map((map) => [map.shape[1], map.shape[2]] as [number, number]);
  const tokens = tf.concat(
    maps.map((map) => map.reshape([batch, -1, channels])),
    1,
  );
  const real = masks.map((mask) => tf.cast(mask, 'float32') as tf.Tensor3D);
  const positions = shapes.map(([h, w], i) =>
    noGrad(() =>
      sinePosition(real[i] ?? tf.ones([1, h, w]), channels / 2, { offset: 0.5 }).reshape([
        -1,
        h * w,
        channels,
      ]),
    ),
  );
  const flat = real.map((mask) => mask.reshape([batch, -1]));
  // A map without a real corner has no scale: far away is better than not a number.
  const ratios = real.map((mask) => tf.maximum(validRatio(mask), 1e-6));
  return {
    tokens: tokens as tf.Tensor3D,
    position: tf.concat(positions, 1) as tf.Tensor3D,
    spatialShapes: shapes,
    mask: masks.length > 0 ? (tf.concat(flat, 1) as tf.Tensor2D) : null,
    validRatios: masks.length > 0 ? (tf.stack(ratios, 1) as tf.Tensor3D) : null,
  };
}

function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size ?? 'any').join(', ')}]`;
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

/** The inputs of `MSDeformAttn`, apart. */
interface AttentionInputs<T> {
  /** Queries and their reference points, unless the maps look at themselves. */
  own: [query: T, reference: T] | null;
  maps: T[];
  /** One for each map, or none. */
  masks: T[];
}

/** Tells the inputs apart by their number and ranks: maps and reference points have 4 axes, queries and masks 3. */
function attentionInputs<T>(
  inputs: T[],
  levels: number,
  shapeOf: (input: T) => readonly (number | null)[],
): AttentionInputs<T> {
  const rank = (input: T | undefined) => (input === undefined ? 0 : shapeOf(input).length);
  const from = rank(inputs[0]) === 3 ? 2 : 0;
  const maps = inputs.slice(from, from + levels);
  const masks = inputs.slice(from + levels);
  const right =
    maps.length === levels &&
    maps.every((map) => rank(map) === 4) &&
    (from === 0 || rank(inputs[1]) === 4) &&
    (masks.length === 0 || masks.length === levels) &&
    masks.every((mask) => rank(mask) === 3);
  if (!right) {
    const received = inputs.map((input) => shapeText(shapeOf(input))).join(', ');
    throw argumentError(
      'MSDeformAttn',
      `${levels} maps [batch, H, W, C], before them queries [batch, Q, C] and reference points [batch, Q, ${levels}, 2 or 4] ` +
        `or nothing, after them ${levels} masks [batch, H, W] or nothing,`,
      'inputs',
      received || 'none',
    );
  }
  masks.forEach((mask, i) => {
    const [want, got] = [shapeOf(maps[i]!), shapeOf(mask)];
    const agrees = [0, 1, 2].every(
      (axis) => want[axis] == null || got[axis] == null || want[axis] === got[axis],
    );
    if (agrees) return;
    const expected = `shape ${shapeText(want.slice(0, 3))} as its map has`;
    throw argumentError('MSDeformAttn', expected, `mask ${i}`, shapeText(got));
  });
  return { own: from === 2 ? [inputs[0]!, inputs[1]!] : null, maps, masks };
}

/**
 * Inputs: the maps, one for each level. Then every token looks around itself in every level and the output is
 * `[batch, tokens, C]`. Before the maps may stand queries `[batch, Q, C]` and reference points
 * `[batch, Q, levels, 2 or 4]`, points (x, y) or boxes (cx, cy, w, h) in [0, 1] of each map, for an output `[batch, Q, C]`.
 * After them may stand a mask `[batch, H, W]` of each map, 1 = real, 0 = padding at the right and the bottom: padding gives
 * nothing, and tokens that look around themselves measure positions in the real part of their map.
 */
const MS_DEFORM_ATTN: LayerKind<MSDeformAttn> = {
  className: 'MSDeformAttn',
  build: (settings) => new MSDeformAttn(settings as unknown as MSDeformAttnSettings),
  call: (module, inputs) => {
    const { own, maps, masks } = attentionInputs(inputs, module.levels, (input) => input.shape);
    const image = levelSequence(maps, masks);
    const query = own ? own[0] : tf.add(image.tokens, image.position);
    const reference = own ? own[1] : encoderReferencePoints(image);
    return module.forward(query, reference, image.tokens, image.spatialShapes, image.mask);
  },
  outputShape: (settings, inputs) => {
    const { dModel, levels } = settings as unknown as MSDeformAttnSettings;
    const { own, maps } = attentionInputs(inputs, levels, (shape) => shape);
    return [inputs[0]![0]!, own ? own[0][1]! : tokenCount(maps), dModel];
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

/**
 * Multi-scale deformable attention with its projections, started as the reference starts them.
 * `new MSDeformAttnLayer({ settings: { dModel: 128, heads: 8, levels: 3, points: 4 } }).apply([...maps])`, or
 * `.apply([queries, referencePoints, ...maps])`, each with masks after the maps if there is padding.
 */
export const MSDeformAttnLayer = registerModuleLayer(MS_DEFORM_ATTN);

/** `new DeformableEncoderLayer({ settings: { dModel, heads, levels, points, ffn, layers, textToImage, imageToText } })` */
export const DeformableEncoderLayer = registerModuleLayer(DEFORMABLE_ENCODER);

/** `new DeformableDecoderLayer({ settings: { dModel, heads, levels, points, ffn, layers } })` */
export const DeformableDecoderLayer = registerModuleLayer(DEFORMABLE_DECODER);
