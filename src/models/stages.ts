// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';

/** Collects the named values inside a model, if they are wanted; else it does nothing. */
export class Stages {
  private readonly parts = new Map<string, Map<string, tf.Tensor>>();

  constructor(private readonly wanted = false) {}

  /** What a part is given to tell its values; the part's name goes before theirs. */
  taps(part: string): { taps?: Map<string, tf.Tensor> } {
    if (!this.wanted) return {};
    const taps = new Map<string, tf.Tensor>();
    this.parts.set(part, taps);
    return { taps };
  }

  /** All values by name. @param own those of the model itself, made where they are wanted */
  all(own: () => Record<string, tf.Tensor>): Record<string, tf.Tensor> {
    if (!this.wanted) return {};
    const told = [...this.parts].flatMap(([part, taps]) =>
      [...taps].map(([name, value]) => [`${part}.${name}`, value] as const),
    );
    return { ...Object.fromEntries(told), ...own() };
  }
}

/** States of a stack by name: `name.0`, `name.1`, ... */
export function numbered(name: string, states: readonly tf.Tensor[]): Record<string, tf.Tensor> {
  return Object.fromEntries(states.map((state, i) => [`${name}.${i}`, state]));
}
