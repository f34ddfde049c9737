// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { LayerKind } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';
import { BertEncoder, RobertaEncoder, type TextEncoder, textEncoderSettings } from '../text/index.js';

/** Inputs: ids `[batch, tokens]` and, if wanted, a mask of the same shape (1 = real). Output: `[batch, tokens, hidden]`. */
function textEncoderKind<E extends TextEncoder>(
  className: string,
  family: string,
  build: (settings: object) => E,
): LayerKind<E> {
  return {
    className,
    build: (settings) => build({ add_pooling_layer: false, ...settings }),
    call: (module, [ids, mask], options) =>
      module.encode(tf.cast(ids!, 'int32') as tf.Tensor2D, mask ?? null, options),
    outputShape: (settings, [ids]) => [
      ...(ids ?? [null, null]),
      textEncoderSettings(family, settings).hidden_size,
    ],
  };
}

/** `new RobertaEncoderLayer({ settings: { vocab_size: 1200, hidden_size: 128, ... } })`; there is no pooler by default. */
export const RobertaEncoderLayer = registerModuleLayer(
  textEncoderKind('RobertaEncoder', 'roberta', (settings) => new RobertaEncoder(settings)),
);

/** The same for BERT and MiniLM: `new BertEncoderLayer({ settings: { hidden_size: 384, num_hidden_layers: 6, ... } })`. */
export const BertEncoderLayer = registerModuleLayer(
  textEncoderKind('BertEncoder', 'bert', (settings) => new BertEncoder(settings)),
);
