// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.js';
import { backboneConfig, backboneCountsMetres } from './backbones/index.js';
import type { ModelConfig } from './config.js';

/** Metres per pixel that a detector takes pictures for which come without; null: there is no such number, or no need. */
export function defaultMetres({ backbone }: Pick<ModelConfig, 'backbone'>): number | null {
  if (!backboneCountsMetres(backbone.name)) return null;
  const { default_gsd } = backboneConfig(backbone.name, { ...backbone.config });
  return default_gsd as number | null;
}

/**
 * Ground sizes of a batch as its detector takes them, null if it has no use for them.
 * @param metres per pixel of each picture, where known
 * @throws UserError if it needs them and some picture comes without
 */
export function metresTensor(
  config: Pick<ModelConfig, 'backbone'>,
  metres: readonly (number | null | undefined)[],
): tf.Tensor1D | null {
  if (!backboneCountsMetres(config.backbone.name)) return null;
  const known = metres.map((own) => own ?? defaultMetres(config));
  if (known.includes(null)) {
    throw new UserError(
      'The model needs to know how large a pixel is on the ground, and the picture does not say: ' +
        'give metres per pixel, or set backbone.config.default_gsd of the model',
    );
  }
  return tf.tensor1d(known as number[]);
}
