// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Backbone } from '../backbones/index.js';
import type { TransformerTextEncoder } from '../text/index.js';
import { SoftTokenDetector } from './detector.js';
import type { MdetrOptions } from './options.js';
import { JointTransformer } from './transformer.js';

/** Temperature of the contrastive alignment. */
const TEMPERATURE = 0.07;

/**
 * MDETR: boxes for what a sentence says; image and text are one sequence in a full-attention transformer.
 *
 * Source: Kamath et al. 2021, "MDETR: Modulated Detection for End-to-End Multi-Modal Understanding",
 * https://github.com/ashkamath/mdetr. Without the heads for questions and answers, and without segmentation.
 */
export class Mdetr extends SoftTokenDetector<MdetrOptions> {
  constructor(backbone: Backbone, textEncoder: TransformerTextEncoder, options: MdetrOptions) {
    super(backbone, textEncoder, options, new JointTransformer(options, textEncoder.hiddenSize));
  }

  protected poolText(hidden: tf.Tensor3D): tf.Tensor2D {
    return this.textEncoder.pool(hidden);
  }

  protected scaleLogits(logits: tf.Tensor): tf.Tensor {
    return logits;
  }

  tau(): tf.Scalar {
    return tf.scalar(TEMPERATURE);
  }
}
