// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { currentEngine } from '../src/engine/index.js';

/** Milliseconds of the fastest of several runs, after a first one that is not counted. Reads one value of each result. */
export function fastest(run: () => tf.Tensor | tf.Tensor[], seconds = 1.5, most = 30): number {
  let best = Number.POSITIVE_INFINITY;
  const start = performance.now();
  for (let i = 0; i <= most; i++) {
    const before = performance.now();
    tf.tidy(() => {
      // Engine tensorflow computes at once; on others a result may still be under way.
      for (const tensor of [run()].flat()) if (tf.getBackend() !== 'tensorflow') tensor.dataSync();
    });
    if (i > 0) best = Math.min(best, performance.now() - before);
    if (i > 1 && performance.now() - start > seconds * 1000) break;
  }
  return best;
}

/** Milliseconds on the clock, and of all threads together. */
export interface Taken {
  wall: number;
  processor: number;
}

/** What one run takes. */
export async function timed(run: () => void | Promise<void>): Promise<Taken> {
  const [before, processor] = [performance.now(), process.cpuUsage()];
  await run();
  const { user, system } = process.cpuUsage(processor);
  return { wall: performance.now() - before, processor: (user + system) / 1000 };
}

/** The middle one, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** One line per row, columns aligned. */
export function printTable(title: string, head: string[], rows: (string | number)[][]): void {
  const cells = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toFixed(2) : cell)),
  );
  const widths = head.map((_, c) => Math.max(...cells.map((row) => row[c]!.length)));
  const threads = currentEngine()?.tensorflow?.intraThreads;
  console.log(`${title} (engine ${tf.getBackend()}${threads ? `, ${threads} threads` : ''}; milliseconds)`);
  for (const row of cells) {
    console.log(
      `  ${row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  ')}`,
    );
  }
}
