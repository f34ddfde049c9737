// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** A batch of token grids held as rows `[batch * height * width, C]`, row-major. */
export interface Grid {
  batch: number;
  height: number;
  width: number;
}

export interface WindowSpec extends Grid {
  /** Side of a window in tokens. */
  window: number;
  /** Cyclic shift up and left before cutting. */
  shift: number;
  /** Order of tokens within a window: rows first (attention), or columns first (patch merging). */
  order: 'rows' | 'columns';
}

/** Added to attention logits between tokens that only the cyclic shift made neighbours. */
const FAR = -100;

/**
 * How rows of tokens turn into rows of windows and back: padding at right and bottom, cyclic shift, and cutting are one
 * permutation, so each way is one gather, and each is the gradient of the other.
 */
export class WindowPlan {
  /** Windows in one picture. */
  readonly windows: number;
  private readonly padded: boolean;
  private readonly identity: boolean;
  private readonly toOrder: tf.Tensor2D;
  private readonly fromOrder: tf.Tensor2D;
  private cachedMask: tf.Tensor | null = null;

  constructor(private readonly spec: WindowSpec) {
    const { height, width, window } = spec;
    const rows = Math.ceil(height / window);
    const columns = Math.ceil(width / window);
    this.windows = rows * columns;
    this.padded = rows * window !== height || columns * window !== width;
    const { to, from } = orders(spec, rows, columns);
    this.identity = !this.padded && to.every((source, i) => source === i);
    this.toOrder = tf.keep(tf.tensor2d(to, [to.length, 1], 'int32'));
    this.fromOrder = tf.keep(tf.tensor2d(from, [from.length, 1], 'int32'));
  }

  /** @param tokens `[batch * height * width, C]` @returns `[batch * windows * window^2, C]`, padded tokens 0 */
  toWindows(tokens: tf.Tensor2D): tf.Tensor2D {
    if (this.identity) return tokens;
    return tf.customGrad((x) => ({
      value: this.cut(x as tf.Tensor2D),
      gradFunc: (dy: tf.Tensor) => this.join(dy),
    }))(tokens) as tf.Tensor2D;
  }

  /** @param windows `[batch * windows * window^2, C]` @returns `[batch * height * width, C]`, padding cropped */
  fromWindows(windows: tf.Tensor2D): tf.Tensor2D {
    if (this.identity) return windows;
    return tf.customGrad((x) => ({
      value: this.join(x as tf.Tensor2D),
      gradFunc: (dy: tf.Tensor) => this.cut(dy),
    }))(windows) as tf.Tensor2D;
  }

  private cut(x: tf.Tensor): tf.Tensor2D {
    // Padded places point at one row of zeros behind the last token.
    const source = this.padded ? tf.concat([x, tf.zeros([1, x.shape[1]!])], 0) : x;
    return tf.gatherND(source, this.toOrder) as tf.Tensor2D;
  }

  private join(x: tf.Tensor): tf.Tensor2D {
    return tf.gatherND(x, this.fromOrder) as tf.Tensor2D;
  }

  /** `[windows, 1, window^2, window^2]`: 0, or -100 between regions that the shift brought together; null without shift. */
  get mask(): tf.Tensor | null {
    if (this.spec.shift === 0) return null;
    this.cachedMask ??= tf.keep(shiftMask(this.spec));
    return this.cachedMask;
  }

  dispose(): void {
    this.toOrder.dispose();
    this.fromOrder.dispose();
    this.cachedMask?.dispose();
  }
}

/** Source row of each place in the windows (`to`), and the place of each row (`from`). */
function orders(spec: WindowSpec, rows: number, columns: number): { to: Int32Array; from: Int32Array } {
  const { batch, height, width, window, shift } = spec;
  const area = window * window;
  const to = new Int32Array(batch * rows * columns * area);
  const from = new Int32Array(batch * height * width);
  const nothing = batch * height * width;
  let place = 0;
  for (let b = 0; b < batch; b++) {
    for (let cell = 0; cell < rows * columns; cell++) {
      const top = Math.floor(cell / columns) * window + shift;
      const left = (cell % columns) * window + shift;
      for (let i = 0; i < area; i++, place++) {
        const major = Math.floor(i / window);
        const minor = i % window;
        const y = (top + (spec.order === 'rows' ? major : minor)) % (rows * window);
        const x = (left + (spec.order === 'rows' ? minor : major)) % (columns * window);
        const inside = y < height && x < width;
        const source = inside ? (b * height + y) * width + x : nothing;
        to[place] = source;
        if (inside) from[source] = place;
      }
    }
  }
  return { to, from };
}

/** Regions of the shifted, padded grid: along each axis what comes before the last window, the part of that window that stays, and the part that wraps around. */
function shiftMask({ height, width, window, shift }: WindowSpec): tf.Tensor {
  const rows = Math.ceil(height / window);
  const columns = Math.ceil(width / window);
  const region = (at: number, size: number) => (at < size - window ? 0 : at < size - shift ? 1 : 2);
  const area = window * window;
  const values = new Float32Array(rows * columns * area * area);
  const label = new Int32Array(area);
  let next = 0;
  for (let cell = 0; cell < rows * columns; cell++) {
    for (let i = 0; i < area; i++) {
      const y = Math.floor(cell / columns) * window + Math.floor(i / window);
      const x = (cell % columns) * window + (i % window);
      label[i] = 3 * region(y, rows * window) + region(x, columns * window);
    }
    for (let i = 0; i < area; i++) {
      for (let j = 0; j < area; j++) values[next++] = label[i] === label[j] ? 0 : FAR;
    }
  }
  return tf.tensor(values, [rows * columns, 1, area, area]);
}

/** Plans and other tables of one network, made once per size; the ones not used for longest go first. */
export class PlanCache {
  private readonly plans = new Map<string, { dispose(): void }>();

  /** @param capacity more than one pass of the network uses, since a gradient still needs the plans of its pass */
  constructor(private readonly capacity = 64) {}

  windows(spec: WindowSpec): WindowPlan {
    const { batch, height, width, window, shift, order } = spec;
    const key = `windows ${batch} ${height} ${width} ${window} ${shift} ${order}`;
    return this.get(key, () => new WindowPlan(spec));
  }

  get<T extends { dispose(): void }>(key: string, make: () => T): T {
    const found = this.plans.get(key) as T | undefined;
    const plan = found ?? make();
    this.plans.delete(key);
    this.plans.set(key, plan);
    if (!found && this.plans.size > this.capacity) {
      const [oldest, unused] = this.plans.entries().next().value!;
      this.plans.delete(oldest);
      unused.dispose();
    }
    return plan;
  }

  dispose(): void {
    for (const plan of this.plans.values()) plan.dispose();
    this.plans.clear();
  }
}
