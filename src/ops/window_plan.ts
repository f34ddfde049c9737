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
  /** Cyclic shift before cutting: up, left. */
  shift: readonly [number, number];
  /** Order of tokens within a window: rows first (attention), or columns first (patch merging). */
  order: 'rows' | 'columns';
}

/** Added to attention logits between tokens that only the cyclic shift made neighbours. */
const FAR = -100;

/**
 * How rows of tokens turn into rows of windows and back: padding at right and bottom, cyclic shift, and cutting are one
 * permutation, so each way is one gather, and each is the gradient of the other. Its tables are made when first used.
 */
export class WindowPlan {
  /** Windows in one picture. */
  readonly windows: number;
  private readonly rows: number;
  private readonly columns: number;
  private readonly padded: boolean;
  private cachedTables: Tables | null = null;
  private cachedMask: tf.Tensor | null = null;

  constructor(readonly spec: WindowSpec) {
    const { height, width, window } = spec;
    this.rows = Math.ceil(height / window);
    this.columns = Math.ceil(width / window);
    this.windows = this.rows * this.columns;
    this.padded = this.rows * window !== height || this.columns * window !== width;
  }

  /**
   * @param tokens `[batch * height * width, C]`
   * @param fill `[C]`, what stands at padded places; null = 0
   * @returns `[batch * windows * window^2, C]`
   */
  toWindows(tokens: tf.Tensor2D, fill: tf.Tensor | null = null): tf.Tensor2D {
    const { identity, padding } = this.tables;
    if (identity) return tokens;
    if (!fill || !this.padded) {
      return tf.customGrad((x) => ({
        value: this.cut(x as tf.Tensor2D, null),
        gradFunc: (dy: tf.Tensor) => this.join(dy),
      }))(tokens) as tf.Tensor2D;
    }
    return tf.customGrad((x, row) => ({
      value: this.cut(x as tf.Tensor2D, row as tf.Tensor),
      gradFunc: (dy: tf.Tensor) => [this.join(dy), tf.sum(tf.gatherND(dy, padding), 0)],
    }))(tokens, fill) as tf.Tensor2D;
  }

  /** @param windows `[batch * windows * window^2, C]` @returns `[batch * height * width, C]`, padding cropped */
  fromWindows(windows: tf.Tensor2D): tf.Tensor2D {
    if (this.tables.identity) return windows;
    return tf.customGrad((x) => ({
      value: this.join(x as tf.Tensor2D),
      gradFunc: (dy: tf.Tensor) => this.cut(dy, null),
    }))(windows) as tf.Tensor2D;
  }

  private cut(x: tf.Tensor, fill: tf.Tensor | null): tf.Tensor2D {
    const channels = x.shape[1]!;
    // Padded places point at one row behind the last token.
    const last = () => (fill ? tf.reshape(fill, [1, channels]) : tf.zeros([1, channels]));
    const source = this.padded ? tf.concat([x, last()], 0) : x;
    return tf.gatherND(source, this.tables.toOrder) as tf.Tensor2D;
  }

  private join(x: tf.Tensor): tf.Tensor2D {
    return tf.gatherND(x, this.tables.fromOrder) as tf.Tensor2D;
  }

  /** `[windows, 1, window^2, window^2]`: 0, or -100 between regions that the shift brought together; null without shift. */
  get mask(): tf.Tensor | null {
    if (this.spec.shift.every((by) => by === 0)) return null;
    this.cachedMask ??= tf.keep(shiftMask(this.spec));
    return this.cachedMask;
  }

  private get tables(): Tables {
    this.cachedTables ??= makeTables(this.spec, this.rows, this.columns, this.padded);
    return this.cachedTables;
  }

  dispose(): void {
    if (this.cachedTables) {
      const { toOrder, fromOrder, padding } = this.cachedTables;
      tf.dispose([toOrder, fromOrder, padding]);
    }
    this.cachedMask?.dispose();
  }
}

/** Indices for `gatherND`. */
interface Tables {
  /** Windows are the tokens as they lie. */
  identity: boolean;
  toOrder: tf.Tensor2D;
  fromOrder: tf.Tensor2D;
  /** Places in the windows without a token. */
  padding: tf.Tensor2D;
}

function makeTables(spec: WindowSpec, rows: number, columns: number, padded: boolean): Tables {
  const { to, from } = orders(spec, rows, columns);
  const table = (values: Int32Array | number[]) => tf.keep(tf.tensor2d(values, [values.length, 1], 'int32'));
  const nothing = from.length;
  const padding = padded ? [...to.keys()].filter((place) => to[place] === nothing) : [];
  return {
    identity: !padded && to.every((source, i) => source === i),
    toOrder: table(to),
    fromOrder: table(from),
    padding: table(padding),
  };
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
      const top = Math.floor(cell / columns) * window + shift[0];
      const left = (cell % columns) * window + shift[1];
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
  const region = (at: number, size: number, by: number) => (at < size - window ? 0 : at < size - by ? 1 : 2);
  const area = window * window;
  const values = new Float32Array(rows * columns * area * area);
  const label = new Int32Array(area);
  let next = 0;
  for (let cell = 0; cell < rows * columns; cell++) {
    for (let i = 0; i < area; i++) {
      const y = Math.floor(cell / columns) * window + Math.floor(i / window);
      const x = (cell % columns) * window + (i % window);
      label[i] = 3 * region(y, rows * window, shift[0]) + region(x, columns * window, shift[1]);
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
