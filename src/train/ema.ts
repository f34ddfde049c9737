// SPDX-License-Identifier: Apache-2.0

import * as tf from '@tensorflow/tfjs';
import type { FlatStore, NamedValue } from './flat_store.js';

/**
 * Exponential moving average of the parameters, kept in the same flat vectors as the optimizer's state:
 * `average = decay * average + (1 - decay) * parameter` after every step, from a copy of the first parameters.
 */
export class Ema {
  /** Name of the averages in the store. */
  readonly slot: string;
  private swapped = false;

  /** `store` is the optimizer's (`AdamW.store`). Several averages of different decay can live side by side. */
  constructor(
    private readonly store: FlatStore,
    readonly decay: number,
  ) {
    this.slot = `ema_${decay}`;
    store.addSlot(this.slot, (bucket) => tf.clone(store.slot(bucket, 'param')));
  }

  /** Call after each optimizer step. `decay` may differ from step to step, see `warmDecay`. */
  update(decay = this.decay): void {
    this.expectSwapped(false, 'update');
    const { store, slot } = this;
    for (const bucket of store.buckets) {
      store.setSlot(bucket, slot, () =>
        moved(store.slot(bucket, slot), store.slot(bucket, 'param'), 1 - decay),
      );
    }
  }

  /** Runs `use` with the averages in the model's variables, and puts the parameters back whatever happens. */
  async during<T>(use: () => Promise<T>): Promise<T> {
    this.expectSwapped(false, 'during');
    const { store } = this;
    // Where somebody else assigned to a variable, the kept parameters must follow before they are put aside.
    for (const bucket of store.buckets) store.slot(bucket, 'param');
    this.swapped = true;
    try {
      for (const bucket of store.buckets) store.scatter(bucket, this.slot);
      return await use();
    } finally {
      for (const bucket of store.buckets) store.restore(bucket);
      this.swapped = false;
    }
  }

  /** Averages by parameter name. */
  state(): Promise<Map<string, NamedValue>> {
    return this.store.read(this.slot);
  }

  /** Takes the model's present values as the averages: how a checkpoint's averages come back. */
  capture(): void {
    this.expectSwapped(false, 'capture');
    const { store, slot } = this;
    for (const bucket of store.buckets)
      store.setSlot(bucket, slot, () => tf.clone(store.slot(bucket, 'param')));
  }

  private expectSwapped(expected: boolean, method: string): void {
    if (this.swapped === expected) return;
    throw new Error(`[Ema.${method}] expected the parameters to be in place but the averages are`);
  }
}

/** Averages after a step. @param share of the way to the parameters, 1 less the decay */
export function moved(average: tf.Tensor1D, param: tf.Tensor1D, share: number | tf.Scalar): tf.Tensor1D {
  return tf.add(average, tf.mul(tf.sub(param, average), share));
}

/**
 * Decay for the step that follows `step` done ones: low at first, so that the averages soon forget the first weights,
 * never above `decay` (the rule of TensorFlow's ExponentialMovingAverage with `num_updates`).
 */
export function warmDecay(decay: number, step: number): number {
  return Math.min(decay, (1 + step) / (10 + step));
}
