// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** Where each pair of tokens of a window finds its relative position in a table of biases. */
export class RelativePositions {
  private readonly places: tf.Tensor4D;

  /**
   * @param window side of the windows in use, at most `tableWindow`
   * @param tableWindow side that the table was made for: it has `(2 * tableWindow - 1)^2` rows
   */
  constructor(
    private readonly window: number,
    private readonly tableWindow: number,
    heads: number,
  ) {
    const tokens = window * window;
    const values = new Int32Array(heads * tokens * tokens * 2);
    let next = 0;
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < tokens; i++) {
        for (let j = 0; j < tokens; j++) {
          values[next++] = this.row(i, j);
          values[next++] = head;
        }
      }
    }
    this.places = tf.keep(tf.tensor4d(values, [heads, tokens, tokens, 2], 'int32'));
  }

  private row(i: number, j: number): number {
    const dy = Math.floor(i / this.window) - Math.floor(j / this.window);
    const dx = (i % this.window) - (j % this.window);
    const span = this.tableWindow - 1;
    return (dy + span) * (2 * this.tableWindow - 1) + dx + span;
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
