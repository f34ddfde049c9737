// SPDX-License-Identifier: Apache-2.0

/**
 * A mistake the user can mend. The command prints its message in one line, without a stack trace,
 * and exits with `exitCode`. Every message says what is wrong, where, and what to do about it.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  /** Process exit code, see EXIT_CODES. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT_CODES.usage, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Exit codes of `tfgeo-train`; documented in docs/cli.md. */
export const EXIT_CODES = {
  ok: 0,
  /** A fault in tfgeo itself: printed with its stack. */
  internal: 1,
  /** Unknown flag or config key, bad value. */
  usage: 2,
  /** Input data that cannot be read or is wrong: image, annotation, prompt. */
  data: 3,
  /** Checkpoint missing, truncated, or of another shape. */
  checkpoint: 4,
  /** No usable engine, or setting one up failed. */
  engine: 5,
  /** Training diverged (NaN or infinite loss). */
  diverged: 6,
  /** Stopped by the user (Ctrl-C); a checkpoint was written. */
  interrupted: 130,
} as const;

/** Closest of `candidates` to `word` by edit distance, or null if none is near enough to be a typo. */
export function didYouMean(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein distance with one row of memory. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length]!;
}
