// SPDX-License-Identifier: Apache-2.0

// Looked up once: in the contexts that tests run in, every look at a global takes longer than the function itself.
const { cos, imul, log, PI, sqrt } = Math;

/** State of a Random, small enough to be kept in a checkpoint. */
export type RandomState = [number, number, number, number];

/**
 * A seeded generator (xoshiro128**, Blackman and Vigna 2018) whose state can be saved and restored, so that a resumed
 * run draws what the unbroken one would have drawn.
 */
export class Random {
  private s: Uint32Array;

  constructor(seed: number) {
    this.s = new Uint32Array(4);
    let z = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z ^ (z >>> 16);
      t = imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = imul(t, 0x735a2d97);
      this.s[i] = (t ^ (t >>> 15)) >>> 0;
    }
  }

  static fromState(state: RandomState): Random {
    const random = new Random(0);
    random.s = Uint32Array.from(state);
    return random;
  }

  get state(): RandomState {
    return [this.s[0]!, this.s[1]!, this.s[2]!, this.s[3]!];
  }

  /** A whole number in [0, 2^32). */
  uint32(): number {
    const s = this.s;
    const rotated = imul(s[1]!, 5);
    const result = imul((rotated << 7) | (rotated >>> 25), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** A number in [0, 1). */
  uniform(): number {
    return this.uint32() / 4294967296;
  }

  /** A number in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A whole number in [0, n). */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** One element of a non-empty list. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('[Random.pick] expected a non-empty list');
    return items[this.integer(items.length)]!;
  }

  /** A new, shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** A standard normal number (Box and Muller; no value is kept between calls, so the state is the whole state). */
  normal(): number {
    const u = 1 - this.uniform();
    return sqrt(-2 * log(u)) * cos(2 * PI * this.uniform());
  }
}
