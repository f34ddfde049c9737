// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Module } from '../src/models/module.js';
import { Random } from '../src/random.js';

/** A model with noise on every parameter: none is left at 0 or 1, where it would do nothing and look like others. */
export function stirred<M extends Module>(model: M, seed = 21): M {
  const random = new Random(seed);
  for (const variable of new Set([...model.namedParameters().values()].map((each) => each.variable))) {
    if (variable.dtype !== 'float32') continue;
    const noise = Float32Array.from({ length: variable.size }, () => 0.03 * random.normal());
    tf.tidy(() => variable.assign(tf.add(variable, tf.tensor(noise, variable.shape))));
  }
  return model;
}

/** Lets all queries of a Grounding DINO begin with the same content: proposals of nearly the same score may then change places by rounding. */
export function startAlike(model: Module): void {
  const content = model.namedParameters().get('model.query_position_embeddings.weight')?.variable;
  if (content) tf.tidy(() => content.assign(tf.tile(tf.slice(content, 0, 1), [content.shape[0]!, 1])));
}
