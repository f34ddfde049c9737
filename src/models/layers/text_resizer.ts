// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import { Module } from '../module.js';
import { LayerNorm, Linear } from './basic.js';

/** Text features to the transformer's width; MDETR's `resizer.{fc,layer_norm}`, with its epsilon. */
export class TextResizer extends Module {
  private readonly fc: Linear;
  private readonly norm: LayerNorm;

  /** @param normName what the norm is called */
  constructor(hidden: number, dModel: number, normName = 'layer_norm') {
    super();
    this.fc = this.child('fc', new Linear(hidden, dModel));
    this.norm = this.child(normName, new LayerNorm(dModel, 1e-12));
  }

  forward(x: tf.Tensor): tf.Tensor {
    return this.norm.forward(this.fc.forward(x));
  }
}
