// SPDX-License-Identifier: Apache-2.0
import { Random } from '../random.js';

/** Two whole numbers as one seed; near pairs give far seeds (the finaliser is MurmurHash3's). */
function mix(a: number, b: number): number {
  let h = (a ^ Math.imul(b + 1, 0x9e3779b1)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The generator of step number `step`: a function of seed and step alone, so nothing of it need be saved. */
export function stepRandom(seed: number, step: number): Random {
  return new Random(mix(seed, step));
}

/** The order in which epoch number `epoch` goes through `length` samples. */
export function epochOrder(seed: number, epoch: number, length: number): number[] {
  const random = new Random(mix(mix(seed, 0x65706f63), epoch));
  return random.shuffle(Array.from({ length }, (_, i) => i));
}

/**
 * Which samples make a step's batch: shuffled passes through the data, one after the other, cut into batches. A batch
 * may reach over the end of a pass, so every sample comes exactly once in each.
 */
export class DataOrder {
  private cached: { epoch: number; order: number[] } | null = null;

  constructor(
    readonly length: number,
    private readonly seed: number,
  ) {
    if (length < 1) throw new RangeError(`[DataOrder] expected at least one sample but received ${length}`);
  }

  /** Indices of the samples of step number `step`. */
  batch(step: number, batchSize: number): number[] {
    return Array.from({ length: batchSize }, (_, i) => this.at(step * batchSize + i));
  }

  /** Steps that see every sample once, rounded up. */
  stepsPerEpoch(batchSize: number): number {
    return Math.ceil(this.length / batchSize);
  }

  private at(position: number): number {
    const epoch = Math.floor(position / this.length);
    if (this.cached?.epoch !== epoch) {
      this.cached = { epoch, order: epochOrder(this.seed, epoch, this.length) };
    }
    return this.cached.order[position % this.length]!;
  }
}
