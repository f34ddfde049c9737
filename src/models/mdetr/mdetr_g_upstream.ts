// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Backbone } from '../backbones/index.js';
import type { TransformerTextEncoder } from '../text/index.js';
import { UpstreamDeformableTransformer } from './deformable_transformer.js';
import { SoftTokenDetector } from './detector.js';
import type { MdetrGUpstreamOptions } from './options.js';
import { VanillaTransformer } from './transformer.js';

/** Temperature at the start, or for good. */
const TEMPERATURE = 0.07;

/** Scales are learned as logarithms and held below this. */
const MAX_SCALE = 100;

function scaleOf(logScale: tf.Tensor): tf.Tensor {
  return tf.minimum(tf.exp(logScale), MAX_SCALE);
}

/**
 * MDETR-G as its code is published, its wiring included: the text never enters the encoder, and without `textAttention`,
 * as in the recommended recipe, boxes and logits do not depend on the words at all. `MdetrG` is what its description
 * promises. Source: https://github.com/DarkSideii/mdetr_g.
 */
export class MdetrGUpstream extends SoftTokenDetector<MdetrGUpstreamOptions> {
  private readonly classScale: tf.Variable;
  private readonly alignScale: tf.Variable | null;

  constructor(backbone: Backbone, textEncoder: TransformerTextEncoder, options: MdetrGUpstreamOptions) {
    const { hiddenSize } = textEncoder;
    const transformer =
      options.kind === 'vanilla'
        ? new VanillaTransformer(options, hiddenSize, options.textAttention)
        : new UpstreamDeformableTransformer(options, hiddenSize);
    super(backbone, textEncoder, options, transformer);
    const init = { kind: 'constant', value: Math.log(1 / TEMPERATURE) } as const;
    const scale = (name: string, mode: string) =>
      this.parameter(name, { shape: [], init, trainable: mode === 'learnable' });
    this.classScale = scale('logit_scale_cls', options.classScale);
    this.alignScale = options.align ? scale('logit_scale_align', options.alignScale) : null;
  }

  protected poolText(hidden: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor2D {
    const weights = tf.expandDims(mask, 2);
    const total = tf.sum(tf.mul(hidden, weights), 1);
    return tf.div(total, tf.maximum(tf.sum(weights, 1), 1e-6)) as tf.Tensor2D;
  }

  protected scaleLogits(logits: tf.Tensor): tf.Tensor {
    return this.options.classScale === 'learnable' ? tf.mul(logits, scaleOf(this.classScale)) : logits;
  }

  tau(): tf.Scalar {
    const learned = this.options.alignScale === 'learnable' ? this.alignScale : null;
    return (learned ? tf.div(1, scaleOf(learned)) : tf.scalar(TEMPERATURE)) as tf.Scalar;
  }
}
