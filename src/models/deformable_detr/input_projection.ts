// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { LevelSequence } from '../deformable_encoder.js';
import { Conv2d } from '../layers/basic.js';
import { GroupNorm } from '../layers/group_norm.js';
import type { SineOptions } from '../layers/position.js';
import { levelSequence } from '../level_sequence.js';
import { Module } from '../module.js';

const GROUPS = 32;

/** Deformable DETR counts pixels at their centres. */
const SINE: SineOptions = { offset: 0.5 };

/** A convolution and a group norm for each level; the owner registers {@link levels} as `input_proj`. */
export class InputProjection extends Module {
  readonly levels: InputLevel[];

  /**
   * @param channels of the backbone's maps, finest first
   * @param count levels wanted
   * @param sine how positions are embedded; default: Deformable DETR's way
   */
  constructor(
    channels: readonly number[],
    dModel: number,
    count: number,
    private readonly sine: SineOptions = SINE,
  ) {
    super();
    const used = channels.slice(-count);
    const last = used.at(-1)!;
    this.levels = Array.from({ length: count }, (_, i) => {
      if (i < used.length) return new InputLevel(used[i]!, dModel, 1);
      return new InputLevel(i === used.length ? last : dModel, dModel, 2);
    });
  }

  /**
   * @param maps NHWC maps, finest first
   * @param pixelMask `[batch, H, W]` of the picture, 1 = real, or null
   * @param levelEmbed `[levels, C]`
   */
  forward(maps: readonly tf.Tensor4D[], pixelMask: tf.Tensor3D | null, levelEmbed: tf.Tensor): LevelSequence {
    const used = maps.slice(-this.levels.length);
    const projected: tf.Tensor4D[] = [];
    this.levels.forEach((level, i) => {
      // The first level beyond the backbone's is made from its last map, the others from the level before.
      const from = used[i] ?? (i === used.length ? used.at(-1)! : projected.at(-1)!);
      projected.push(level.forward(from));
    });
    return levelSequence(projected, pixelMask, levelEmbed, this.sine);
  }
}

/** Parameters `0` (convolution) and `1` (norm), as in the reference's sequence. */
export class InputLevel extends Module {
  private readonly convolution: Conv2d;
  private readonly norm: GroupNorm;

  constructor(inChannels: number, dModel: number, stride: 1 | 2) {
    super();
    const kernel = stride === 2 ? 3 : 1;
    const area = kernel * kernel;
    this.convolution = this.child(
      '0',
      new Conv2d(inChannels, dModel, kernel, {
        stride,
        padding: (kernel - 1) / 2,
        init: { kind: 'xavierUniform', fanIn: inChannels * area, fanOut: dModel * area },
        biasInit: { kind: 'zeros' },
      }),
    );
    this.norm = this.child('1', new GroupNorm(GROUPS, dModel));
  }

  forward(map: tf.Tensor4D): tf.Tensor4D {
    const y = this.convolution.forward(map);
    const [batch, h, w, c] = y.shape;
    return this.norm.forward(y.reshape([batch, h * w, c])).reshape([batch, h, w, c]);
  }
}
