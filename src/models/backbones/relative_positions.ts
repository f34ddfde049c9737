// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Table } from '../module.js';

/** Row of a table of `(2 * tableWindow - 1)^2` relative positions that tokens `i` and `j` of a window find theirs in. */
function rowOf(i: number, j: number, window: number, tableWindow: number): number {
  const dy = Math.floor(i / window) - Math.floor(j / window);
  const dx = (i % window) - (j % window);
  const span = tableWindow - 1;
  return (dy + span) * (2 * tableWindow - 1) + dx + span;
}

/** The row of each pair of tokens of a window, as published Swins keep it: int64 `[window^2, window^2]`. */
export function relativePositionIndex(window: number): Table {
  const tokens = window * window;
  const data = new BigInt64Array(tokens * tokens);
  for (let pair = 0; pair < data.length; pair++) {
    data[pair] = BigInt(rowOf(Math.floor(pair / tokens), pair % tokens, window, window));
  }
  return { shape: [tokens, tokens], data };
}

/** Where each pair of tokens of a window finds its relative position in a table of biases. */
export class RelativePositions {
  private readonly places: tf.Tensor4D;

  /**
   * @param window side of the windows in use, at most `tableWindow`
   * @param tableWindow side that the table was made for: it has `(2 * tableWindow - 1)^2` rows
   */
  constructor(window: number, tableWindow: number, heads: number) {
    const tokens = window * window;
    const values = new Int32Array(heads * tokens * tokens * 2);
    let next = 0;
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) {
          values[next++] = rowOf(i, j, window, tableWindow);
          values[next++] = head;
        }
      }
    }
    this.places = tf.keep(tf.tensor4d(values, [heads, tokens, tokens, 2], 'int32'));
  }

  /** @param table `[(2 * tableWindow - 1)^2, heads]` @returns `[heads, window^2, window^2]` */
  bias(table: tf.Tensor): tf.Tensor {
    const shape = table.shape as [number, number];
    return tf.customGrad((x) => ({
      value: tf.gatherND(x as tf.Tensor, this.places),
      gradFunc: (dy: tf.Tensor) => tf.scatterND(this.places, dy, shape),
    }))(table);
  }

  dispose(): void {
    this.places.dispose();
  }
}
