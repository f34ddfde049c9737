// SPDX-License-Identifier: Apache-2.0

export type AssignmentResult = 'ok' | 'invalid' | 'infeasible';

/**
 * Exact assignment of targets to queries in double precision; the twin of csrc/kernels/linear_assignment.cc.
 * Source: Jonker and Volgenant 1987, shortest augmenting paths, in the rectangular form.
 *
 * @param costs `[queries, stride]`, of which the first `targets` columns count; +infinity forbids a pair
 * @param queryOfTarget gets the query of each target, -1 for a target left over
 * @returns `invalid` if a cost is NaN or -infinity, `infeasible` if too many pairs are forbidden
 */
export function assignTargets(
  costs: Float32Array,
  queries: number,
  targets: number,
  stride: number,
  queryOfTarget: Int32Array,
): AssignmentResult {
  queryOfTarget.fill(-1);
  const byTarget = targets <= queries; // the smaller side are the rows
  const rows = byTarget ? targets : queries;
  const columns = byTarget ? queries : targets;
  const table = new Float64Array(rows * columns);
  for (let q = 0; q < queries; q++) {
    for (let t = 0; t < targets; t++) {
      const cost = costs[q * stride + t]!;
      if (Number.isNaN(cost) || cost === Number.NEGATIVE_INFINITY) return 'invalid';
      table[byTarget ? t * columns + q : q * columns + t] = cost;
    }
  }
  const solver = new Solver(table, rows, columns);
  for (let row = 0; row < rows; row++) if (!solver.add(row)) return 'infeasible';
  solver.owner.forEach((row, column) => {
    if (row >= 0) queryOfTarget[byTarget ? row : column] = byTarget ? column : row;
  });
  return 'ok';
}

/**
 * Keeps prices with `cost - rowPrice - columnPrice >= 0`, and 0 on assigned pairs; every row is added along the shortest
 * path to a free column under these reduced costs.
 */
class Solver {
  /** Row of each column, -1 if free. */
  readonly owner: Int32Array;
  private readonly columnOf: Int32Array;
  private readonly rowPrice: Float64Array;
  private readonly columnPrice: Float64Array;
  private readonly distance: Float64Array;
  private readonly from: Int32Array;
  private readonly reached: Uint8Array;

  constructor(
    private readonly costs: Float64Array,
    rows: number,
    private readonly columns: number,
  ) {
    this.owner = new Int32Array(columns).fill(-1);
    this.columnOf = new Int32Array(rows).fill(-1);
    this.rowPrice = new Float64Array(rows);
    this.columnPrice = new Float64Array(columns);
    this.distance = new Float64Array(columns);
    this.from = new Int32Array(columns);
    this.reached = new Uint8Array(columns);
  }

  /** Assigns `row` and moves others as needed; false when no free column can be reached. */
  add(row: number): boolean {
    this.distance.fill(Number.POSITIVE_INFINITY);
    this.reached.fill(0);
    let current = row;
    let length = 0;
    for (;;) {
      const column = this.nearest(current, length);
      if (column < 0) return false;
      length = this.distance[column]!;
      if (this.owner[column]! < 0) {
        this.updatePrices(row, length);
        this.augment(row, column);
        return true;
      }
      this.reached[column] = 1;
      current = this.owner[column]!;
    }
  }

  /** Relaxes the edges of row `current`; the nearest column that is not reached yet, -1 if none can be. */
  private nearest(current: number, length: number): number {
    const { distance, owner } = this;
    const offset = current * this.columns;
    const base = length - this.rowPrice[current]!;
    let best = -1;
    let nearest = Number.POSITIVE_INFINITY;
    for (let j = 0; j < this.columns; j++) {
      if (this.reached[j]) continue;
      const through = base + this.costs[offset + j]! - this.columnPrice[j]!;
      if (through < distance[j]!) {
        distance[j] = through;
        this.from[j] = current;
      }
      // Among equals a free column ends the search at once.
      if (distance[j]! < nearest || (distance[j] === nearest && best >= 0 && owner[j]! < 0)) {
        nearest = distance[j]!;
        best = j;
      }
    }
    return best;
  }

  private updatePrices(row: number, length: number): void {
    this.rowPrice[row]! += length;
    for (let j = 0; j < this.columns; j++) {
      if (!this.reached[j]) continue;
      const slack = length - this.distance[j]!;
      this.rowPrice[this.owner[j]!]! += slack;
      this.columnPrice[j]! -= slack;
    }
  }

  private augment(row: number, column: number): void {
    for (let j = column; ; ) {
      const i = this.from[j]!;
      this.owner[j] = i;
      const next = this.columnOf[i]!;
      this.columnOf[i] = j;
      if (i === row) return;
      j = next;
    }
  }
}
