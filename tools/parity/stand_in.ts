// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Backbone, type FeatureMaps } from '../../src/models/backbones/index.js';
import { detrNames, BACKBONE as HF_BACKBONE } from '../../src/models/deformable_detr/index.js';
import { Conv2d } from '../../src/models/layers/basic.js';
import type { NameMap } from '../../src/models/weights/name_map.js';

/** Channels of Deformable DETR's stand-in. */
export const STAND_IN_WIDTHS = [8, 12, 16, 24];

/** The small backbone of some cases: 3x3 convolutions of stride 2 with ReLU, `convs.N`; it gives the last maps. */
export class StandInBackbone extends Backbone {
  private readonly convs: Conv2d[];

  /** @param widths channels behind each convolution @param levels maps that it gives */
  constructor(widths: readonly number[], levels: number) {
    super({
      channels: widths.slice(-levels),
      strides: widths.map((_, i) => 2 ** (i + 1)).slice(-levels),
    });
    this.convs = this.children(
      'convs',
      widths.map((width, i) => new Conv2d(widths[i - 1] ?? 3, width, 3, { stride: 2, padding: 1 })),
    );
  }

  protected maps(pixels: tf.Tensor4D): FeatureMaps {
    let x = pixels;
    const maps = this.convs.map((conv) => {
      x = tf.relu(conv.forward(x));
      return x;
    });
    return { levels: maps.slice(-this.channels.length), strides: this.strides, channels: this.channels };
  }
}

/** Its names in files are its own. */
export const STAND_IN_NAMES: NameMap = {
  origin: 'original',
  hallmark: /^convs\.0\./,
  place: (name) => ({ name }),
  dropped: [],
};

/** Names of the original Deformable DETR over a stand-in, which stands one level higher than other backbones. */
export function detrStandInNames(): NameMap {
  const names = detrNames('resnet').find(({ origin }) => origin === 'original')!;
  return {
    ...names,
    place: (own) =>
      own.startsWith(HF_BACKBONE)
        ? { name: `backbone.0.${own.slice(HF_BACKBONE.length)}` }
        : names.place(own),
  };
}
