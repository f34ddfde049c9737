// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { Module } from '../module.js';
import { Linear } from './basic.js';

/** Two linear layers with ReLU between; the owner registers `linear1` and `linear2` under names of its own. */
export class FeedForward extends Module {
  readonly linear1: Linear;
  readonly linear2: Linear;

  constructor(dModel: number, hidden: number) {
    super();
    const zeros = { kind: 'zeros' } as const;
    this.linear1 = this.child(
      'linear1',
      new Linear(dModel, hidden, {
        init: { kind: 'xavierUniform', fanIn: dModel, fanOut: hidden },
        biasInit: zeros,
      }),
    );
    this.linear2 = this.child(
      'linear2',
      new Linear(hidden, dModel, {
        init: { kind: 'xavierUniform', fanIn: hidden, fanOut: dModel },
        biasInit: zeros,
      }),
    );
  }

  /** @param x `[..., C]` */
  forward(x: tf.Tensor): tf.Tensor {
    return this.linear2.forward(this.linear1.forward(x, 'relu'));
  }
}
