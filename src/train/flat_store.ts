// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';

/** A named value of a parameter kept by an optimizer, in the parameter's own shape. */
export interface NamedValue {
  shape: number[];
  data: Float32Array;
}

/** Parameters that lie one after the other in single vectors: one vector for each slot (`param`, `exp_avg`, ...). */
export interface Bucket {
  /** Index of the parameter group all members belong to. */
  readonly group: number;
  readonly names: readonly string[];
  readonly variables: readonly tf.Variable[];
  /** Optimizer steps these parameters have taken. */
  steps: number;
  readonly slots: Map<string, tf.Tensor1D>;
  /** Storage of each variable when `param` was last in agreement with it; null = never. */
  written: (object | null)[];
}

/**
 * Values a bucket may hold before another one is begun: many, because starting an operation costs as much as computing
 * some thousand values, but not all, because every operation makes a vector of this size. A bucket of one big parameter
 * may be larger.
 */
const BUCKET_VALUES = 1 << 20;

/**
 * Keeps the values of many variables in a few flat vectors, so that an optimizer runs a dozen operations per bucket
 * instead of per variable. Members of a bucket share their group and their number of steps; `split` divides a bucket
 * when some members got a gradient and others did not.
 */
export class FlatStore {
  readonly buckets: Bucket[] = [];
  /** Changes whenever other members lie in the buckets. */
  layout = 0;
  private readonly slotInit = new Map<string, (bucket: Bucket) => tf.Tensor1D>();

  constructor(
    parameters: Map<string, tf.Variable>,
    groupOf: (name: string, variable: tf.Variable) => number,
    bucketValues = BUCKET_VALUES,
  ) {
    const open = new Map<number, { names: string[]; variables: tf.Variable[]; size: number }>();
    const close = (group: number) => {
      const members = open.get(group);
      if (members) this.buckets.push(newBucket(group, members.names, members.variables, 0));
      open.delete(group);
    };
    for (const [name, variable] of parameters) {
      const group = groupOf(name, variable);
      const current = open.get(group);
      if (current && current.size + variable.size > bucketValues) close(group);
      const members = open.get(group) ?? { names: [], variables: [], size: 0 };
      members.names.push(name);
      members.variables.push(variable);
      members.size += variable.size;
      open.set(group, members);
    }
    for (const group of [...open.keys()]) close(group);
  }

  /** Declares a slot, filled for every bucket by `init` (inside a tidy). */
  addSlot(name: string, init: (bucket: Bucket) => tf.Tensor1D): void {
    this.slotInit.set(name, init);
    for (const bucket of this.buckets) this.setSlot(bucket, name, () => init(bucket));
  }

  /** The vector of a slot. `param` is read from the variables again when somebody else assigned to them. */
  slot(bucket: Bucket, name: string): tf.Tensor1D {
    if (name === 'param') this.refresh(bucket);
    const vector = bucket.slots.get(name);
    if (!vector) throw new Error(`[FlatStore.slot] expected a declared slot but received ${name}`);
    return vector;
  }

  /** Replaces the vector of a slot by what `compute` returns; frees the old vector and everything between. */
  setSlot(bucket: Bucket, name: string, compute: () => tf.Tensor1D): void {
    const next = tf.keep(tf.tidy(compute));
    const old = bucket.slots.get(name);
    if (old && old !== next) old.dispose();
    bucket.slots.set(name, next);
  }

  /** The vectors of every bucket by slot, `param` up to date: what a step starts from. */
  slots(): Record<string, tf.Tensor1D>[] {
    return this.buckets.map((bucket) => {
      this.refresh(bucket);
      return Object.fromEntries(bucket.slots);
    });
  }

  /**
   * Replaces the vectors of a bucket by those a step gave, which now belong to the store, and writes the parameters.
   * @param values the new parameters one by one, in the variables' shapes
   */
  commit(
    bucket: Bucket,
    slots: Readonly<Record<string, tf.Tensor1D>>,
    values: readonly tf.Tensor[] | null,
  ): void {
    for (const [name, vector] of Object.entries(slots)) {
      if (bucket.slots.get(name) === vector) continue;
      bucket.slots.get(name)?.dispose();
      bucket.slots.set(name, tf.keep(vector));
    }
    if (!values) return;
    values.forEach((value, i) => {
      bucket.variables[i]!.assign(value);
    });
    bucket.written = storages(bucket);
  }

  /** Writes slot `name` into the variables. After another slot than `param`, `restore` must follow. */
  scatter(bucket: Bucket, name = 'param'): void {
    tf.tidy(() => {
      unflatten(this.slot(bucket, name), bucket).forEach((part, i) => {
        bucket.variables[i]!.assign(part);
      });
    });
    if (name === 'param') bucket.written = storages(bucket);
  }

  /** Writes the kept parameters back into the variables, whatever these hold now. */
  restore(bucket: Bucket): void {
    bucket.written = storages(bucket);
    this.scatter(bucket);
  }

  /** Divides a bucket in two: the members for which `keep` is true, and the others. Returns both, in that order. */
  split(bucket: Bucket, keep: readonly boolean[]): [Bucket, Bucket] {
    const [first, second] = [true, false].map((wanted) => {
      const at = bucket.names.flatMap((_, i) => (keep[i] === wanted ? [i] : []));
      const part = newBucket(
        bucket.group,
        at.map((i) => bucket.names[i]!),
        at.map((i) => bucket.variables[i]!),
        bucket.steps,
      );
      for (const [name, vector] of bucket.slots) {
        this.setSlot(part, name, () => {
          const pieces = tf.split<tf.Tensor1D>(vector, sizes(bucket), 0);
          return joinVectors(at.map((i) => pieces[i]!));
        });
      }
      part.written = at.map((i) => bucket.written[i] ?? null);
      return part;
    }) as [Bucket, Bucket];
    for (const vector of bucket.slots.values()) vector.dispose();
    this.buckets.splice(this.buckets.indexOf(bucket), 1, first, second);
    this.layout++;
    return [first, second];
  }

  /** Values of a slot by parameter name. */
  async read(name: string): Promise<Map<string, NamedValue>> {
    const result = new Map<string, NamedValue>();
    for (const bucket of this.buckets) {
      const values = (await this.slot(bucket, name).data()) as Float32Array;
      let offset = 0;
      bucket.variables.forEach((variable, i) => {
        result.set(bucket.names[i]!, {
          shape: [...variable.shape],
          data: values.slice(offset, offset + variable.size),
        });
        offset += variable.size;
      });
    }
    return result;
  }

  /** Checks that `from` has a value for every parameter; `complain` says what does not fit and must throw. */
  check(
    slot: string,
    from: ReadonlyMap<string, NamedValue>,
    complain: (problem: string) => never,
    shaped = true,
  ): void {
    for (const { names, variables } of this.buckets) {
      names.forEach((name, i) => {
        const value = from.get(name);
        if (!value) complain(`${slot} of parameter ${name} is missing`);
        const expected = shaped ? variables[i]!.shape : [];
        if (value.shape.join() !== expected.join()) {
          complain(`${slot} of parameter ${name} has shape [${value.shape}], expected [${expected}]`);
        }
      });
    }
  }

  /** Sets a slot from values by parameter name (see `check`). */
  write(slot: string, from: ReadonlyMap<string, NamedValue>): void {
    for (const bucket of this.buckets) {
      const vector = new Float32Array(sizes(bucket).reduce((sum, size) => sum + size, 0));
      let offset = 0;
      for (const name of bucket.names) {
        const { data } = from.get(name)!;
        vector.set(data, offset);
        offset += data.length;
      }
      this.setSlot(bucket, slot, () => tf.tensor1d(vector));
    }
  }

  /**
   * Forms the buckets anew as they once were: members of one number together, in the order of the numbers. Sums over
   * buckets then round as before. All slots start from their first values again.
   */
  regroup(layout: (name: string) => { bucket: number; steps: number }): void {
    const members = this.buckets.flatMap(({ group, names, variables }) =>
      names.map((name, i) => ({ group, name, variable: variables[i]!, ...layout(name) })),
    );
    const formed = new Map<string, typeof members>();
    for (const member of members) {
      const key = `${member.bucket} ${member.group} ${member.steps}`;
      formed.set(key, [...(formed.get(key) ?? []), member]);
    }
    this.dispose();
    this.layout++;
    const ordered = [...formed.values()].sort((a, b) => a[0]!.bucket - b[0]!.bucket);
    this.buckets.splice(
      0,
      this.buckets.length,
      ...ordered.map((list) =>
        newBucket(
          list[0]!.group,
          list.map(({ name }) => name),
          list.map(({ variable }) => variable),
          list[0]!.steps,
        ),
      ),
    );
    for (const [name, init] of this.slotInit) this.addSlot(name, init);
  }

  /** Frees the vectors; the variables stay. */
  dispose(): void {
    for (const bucket of this.buckets) {
      for (const vector of bucket.slots.values()) vector.dispose();
      bucket.slots.clear();
    }
  }

  private refresh(bucket: Bucket): void {
    const now = storages(bucket);
    if (bucket.slots.has('param') && now.every((storage, i) => storage === bucket.written[i])) return;
    this.setSlot(bucket, 'param', () => flatten(bucket.variables));
    bucket.written = now;
  }
}

/** One vector of all the values, in order. */
function flatten(tensors: readonly tf.Tensor[]): tf.Tensor1D {
  return joinVectors(tensors.map((tensor) => tf.reshape(tensor, [tensor.size]) as tf.Tensor1D));
}

function joinVectors(vectors: tf.Tensor1D[]): tf.Tensor1D {
  return vectors.length === 1 ? tf.clone(vectors[0]!) : tf.concat1d(vectors);
}

/** The values of a vector one by one, in the variables' shapes. */
function unflatten(vector: tf.Tensor1D, bucket: Bucket): tf.Tensor[] {
  const pieces = bucket.variables.length === 1 ? [vector] : tf.split<tf.Tensor1D>(vector, sizes(bucket), 0);
  return pieces.map((piece, i) => tf.reshape(piece, bucket.variables[i]!.shape));
}

function sizes(bucket: Bucket): number[] {
  return bucket.variables.map((variable) => variable.size);
}

/** What a variable's values live in; assigning to a variable changes it. */
function storages(bucket: Bucket): object[] {
  return bucket.variables.map((variable) => variable.dataId);
}

function newBucket(
  group: number,
  names: readonly string[],
  variables: readonly tf.Variable[],
  steps: number,
): Bucket {
  return { group, names, variables, steps, slots: new Map(), written: variables.map(() => null) };
}
