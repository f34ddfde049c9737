// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../errors.js';

/** Whether the user asked to stop. */
export interface Interrupt {
  readonly requested: boolean;
  /** Puts the process's signals back as they were. */
  release(): void;
}

/**
 * Watches for Ctrl-C (SIGINT) and SIGTERM. The first one sets `requested` and calls `onFirst`; the second ends the
 * process at once.
 */
export function watchInterrupt(onFirst: () => void): Interrupt {
  let requested = false;
  const handler = () => {
    if (requested) return process.exit(EXIT_CODES.interrupted);
    requested = true;
    return onFirst();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, handler);
  return {
    get requested() {
      return requested;
    },
    release: () => {
      for (const signal of signals) process.off(signal, handler);
    },
  };
}
