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
