// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LayerKind } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import { ROBERTA_DEFAULTS, type RobertaConfig, RobertaEncoder } from '../text/index.js';

/** Inputs: ids `[batch, tokens]` and, if wanted, a mask of the same shape (1 = real). Output: `[batch, tokens, hidden]`. */
const ROBERTA_ENCODER: LayerKind<RobertaEncoder> = {
  className: 'RobertaEncoder',
  build: (settings) =>
    new RobertaEncoder({ add_pooling_layer: false, ...settings } as Partial<RobertaConfig>),
  call: (module, [ids, mask], options) =>
    module.encode(tf.cast(ids!, 'int32') as tf.Tensor2D, mask ?? null, options),
  outputShape: (settings, [ids]) => {
    const { hidden_size } = { ...ROBERTA_DEFAULTS, ...settings };
    return [...(ids ?? [null, null]), hidden_size];
  },
};

/** `new RobertaEncoderLayer({ settings: { vocab_size: 1200, hidden_size: 128, ... } })`; there is no pooler by default. */
export const RobertaEncoderLayer = registerModuleLayer(ROBERTA_ENCODER);
