// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import {
  argumentError,
  checkTensor,
  locateSamples,
  type MsDeformAttnOptions,
  msDeformAttn,
  msDeformAttnRaw,
  type SpatialShapes,
  weighSamples,
} from '../../ops/index.js';
import { Module } from '../module.js';
import { Linear } from './basic.js';

export interface MSDeformAttnConfig {
  /** Channels of queries and values (default 256). */
  dModel?: number;
  /** Heads (default 8); must divide `dModel`. */
  heads?: number;
  /** Feature maps (default 4). */
  levels?: number;
  /** Samples per head and map (default 4). */
  points?: number;
}

/** What {@link MSDeformAttn.attend} gives. */
export interface DeformableAttention {
  /** `[N, Q, C]` */
  output: tf.Tensor3D;
  /** `[N, Q, heads, levels, points]`, summing to 1 per head. */
  attentionWeights: tf.Tensor5D;
  /** `[N, Q, heads, levels, points, 2]`, (x, y) in [0, 1] of each map. */
  samplingLocations: tf.Tensor;
}

/**
 * Multi-scale deformable attention with its four projections: each query looks at a few places around its reference
 * point, on every feature map. Parameters `sampling_offsets`, `attention_weights`, `value_proj`, `output_proj`.
 *
 * Source: Zhu et al. 2021, "Deformable DETR", https://github.com/fundamentalvision/Deformable-DETR; starts, as there,
 * with heads that look in different directions and points that look ever further.
 */
export class MSDeformAttn extends Module {
  readonly dModel: number;
  readonly heads: number;
  readonly levels: number;
  readonly points: number;
  private readonly samplingOffsets: Linear;
  private readonly attentionWeights: Linear;
  private readonly valueProj: Linear;
  private readonly outputProj: Linear;

  constructor(config: MSDeformAttnConfig = {}) {
    super();
    const { dModel = 256, heads = 8, levels = 4, points = 4 } = config;
    if (dModel % heads !== 0) {
      throw argumentError('MSDeformAttn', `a multiple of heads = ${heads}`, 'dModel', `${dModel}`);
    }
    this.dModel = dModel;
    this.heads = heads;
    this.levels = levels;
    this.points = points;
    const zeros = { kind: 'zeros' } as const;
    const xavier = { kind: 'xavierUniform', fanIn: dModel, fanOut: dModel } as const;
    const samples = heads * levels * points;
    this.samplingOffsets = this.child(
      'sampling_offsets',
      new Linear(dModel, samples * 2, {
        init: zeros,
        biasInit: { kind: 'values', values: firstOffsets(heads, levels, points) },
      }),
    );
    this.attentionWeights = this.child(
      'attention_weights',
      new Linear(dModel, samples, { init: zeros, biasInit: zeros }),
    );
    this.valueProj = this.child('value_proj', new Linear(dModel, dModel, { init: xavier, biasInit: zeros }));
    this.outputProj = this.child(
      'output_proj',
      new Linear(dModel, dModel, { init: xavier, biasInit: zeros }),
    );
  }

  /**
   * @param query `[N, Q, C]`, position embeddings already added
   * @param referencePoints `[N, Q, levels, 2]` (x, y) or `[N, Q, levels, 4]` (cx, cy, w, h), in [0, 1] of each padded map
   * @param value `[N, S, C]`, the maps one after the other, each row-major
   * @param spatialShapes (H, W) of the maps
   * @param mask `[N, S]`, 1 = real and 0 = padding, or null; padding is set to 0 after its projection
   * @returns `[N, Q, C]`
   */
  forward(
    query: tf.Tensor,
    referencePoints: tf.Tensor,
    value: tf.Tensor,
    spatialShapes: SpatialShapes,
    mask: tf.Tensor | null = null,
    options: MsDeformAttnOptions = {},
  ): tf.Tensor3D {
    const { projected, offsets, logits } = this.project(query, value, mask);
    const attended = msDeformAttnRaw(projected, spatialShapes, referencePoints, offsets, logits, options);
    return this.outputProj.forward(attended) as tf.Tensor3D;
  }

  /** As {@link forward}, with the weights and places it looked at. */
  attend(
    query: tf.Tensor,
    referencePoints: tf.Tensor,
    value: tf.Tensor,
    spatialShapes: SpatialShapes,
    mask: tf.Tensor | null = null,
    options: MsDeformAttnOptions = {},
  ): DeformableAttention {
    const { projected, offsets, logits } = this.project(query, value, mask);
    const attentionWeights = weighSamples(logits, this.levels);
    const samplingLocations = locateSamples(referencePoints, offsets, spatialShapes);
    const attended = msDeformAttn(projected, spatialShapes, samplingLocations, attentionWeights, options);
    return {
      output: this.outputProj.forward(attended) as tf.Tensor3D,
      attentionWeights,
      samplingLocations,
    };
  }

  /** Values by head, offsets and logits of the samples. */
  private project(query: tf.Tensor, value: tf.Tensor, mask: tf.Tensor | null) {
    const { dModel, heads, levels, points } = this;
    checkTensor('MSDeformAttn', 'query', query, 'float32', '[N, Q, C]', [null, null, dModel]);
    const [batch, queries] = query.shape as [number, number];
    checkTensor('MSDeformAttn', 'value', value, 'float32', '[N, S, C]', [batch, null, dModel]);
    const length = value.shape[1]!;
    let projected = this.valueProj.forward(value);
    if (mask) projected = tf.mul(projected, tf.reshape(tf.cast(mask, 'float32'), [batch, length, 1]));
    const samples = levels * points;
    return {
      projected: tf.reshape(projected, [batch, length, heads, dModel / heads]) as tf.Tensor4D,
      offsets: tf.reshape(this.samplingOffsets.forward(query), [batch, queries, heads, levels, points, 2]),
      logits: tf.reshape(this.attentionWeights.forward(query), [
        batch,
        queries,
        heads,
        samples,
      ]) as tf.Tensor4D,
    };
  }
}

/** Head m looks in direction 2 pi m / M (scaled to the unit square), point p looks p + 1 pixels far, on every level. */
function firstOffsets(heads: number, levels: number, points: number): number[] {
  const offsets: number[] = [];
  for (let head = 0; head < heads; head++) {
    const angle = (2 * Math.PI * head) / heads;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    const longest = Math.max(Math.abs(x), Math.abs(y));
    for (let level = 0; level < levels; level++) {
      for (let point = 1; point <= points; point++)
        offsets.push((x / longest) * point, (y / longest) * point);
    }
  }
  return offsets;
}
