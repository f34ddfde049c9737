// SPDX-License-Identifier: Apache-2.0
import { stepRandom } from '../data_order.js';
import type { TrainTask } from '../task.js';

/** Hands out the batches of a run in order, and prepares one ahead while a step computes. */
export class BatchFeed {
  private pending: Promise<unknown> | null = null;

  constructor(
    private readonly task: TrainTask,
    private readonly seed: number,
    private readonly total: number,
  ) {}

  /** The batch of `step`; the caller disposes it. */
  take(step: number): Promise<unknown> {
    this.ahead(step);
    const batch =
      this.pending ?? Promise.reject(new RangeError(`[BatchFeed] expected a step below ${this.total}`));
    this.pending = null;
    return batch;
  }

  /** Begins to prepare the batch of `step`, the one that `take` is called for next. */
  ahead(step: number): void {
    if (this.pending || step >= this.total) return;
    this.pending = this.task.batch(step, stepRandom(this.seed, step));
    // A failure is reported where the batch is awaited.
    this.pending.catch(() => undefined);
  }

  /** Waits for what is being prepared, so that nothing else runs beside it. */
  async settle(): Promise<void> {
    await this.pending;
  }

  /** Frees a batch nobody took. */
  async close(): Promise<void> {
    const { pending } = this;
    this.pending = null;
    if (!pending) return;
    await pending.then(
      (batch) => this.task.disposeBatch(batch),
      () => undefined,
    );
  }
}
