// SPDX-License-Identifier: Apache-2.0
import type { HostTensor, TensorValues } from '../engine/index.js';

/** Inputs or outputs by name. */
export type Tensors = ReadonlyMap<string, HostTensor>;

export interface BatchLimits {
  /** Most rows of a joint run. */
  maxBatch: number;
  /** How long a request waits for others to join it, in milliseconds. */
  waitMs: number;
  /** Runs under way at a time. */
  parallel: number;
}

interface Job {
  signature: string;
  inputs: Tensors;
  rows: number;
  /** Requests with the same key may be joined; null: this one runs alone. */
  key: string | null;
  arrived: number;
  cancelled: () => boolean;
  resolve(outputs: Tensors): void;
  reject(error: unknown): void;
}

/**
 * Joins requests that are under way at the same time into one run and hands each its own rows. A run that fails is
 * repeated request by request, so that a bad one spoils no other.
 */
export class Batcher {
  private queue: Job[] = [];
  private running = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly limits: BatchLimits,
    private readonly run: (signature: string, inputs: Tensors) => Promise<Tensors>,
  ) {}

  /**
   * @param batched whether the first side of all inputs and outputs counts rows
   * @param cancelled whether nobody waits for the answer any more; such a request is not run
   */
  submit(
    signature: string,
    inputs: Tensors,
    batched: boolean,
    cancelled: () => boolean = () => false,
  ): Promise<Tensors> {
    const rows = batched ? rowsOf(inputs) : null;
    const key = rows === null ? null : `${signature}\n${keyOf(inputs)}`;
    return new Promise((resolve, reject) => {
      const arrived = performance.now();
      this.queue.push({ signature, inputs, rows: rows ?? 1, key, arrived, cancelled, resolve, reject });
      this.dispatch();
    });
  }

  private dispatch(): void {
    this.dropCancelled();
    while (this.running < this.limits.parallel && this.queue.length > 0) {
      const jobs = this.next();
      const wait = this.limits.waitMs - (performance.now() - jobs[0]!.arrived);
      const full = jobs[0]!.key === null || total(jobs) >= this.limits.maxBatch;
      if (!full && wait > 0) {
        this.timer ??= setTimeout(() => {
          this.timer = null;
          this.dispatch();
        }, wait);
        return;
      }
      this.queue = this.queue.filter((job) => !jobs.includes(job));
      this.running++;
      void this.runJobs(jobs).finally(() => {
        this.running--;
        this.dispatch();
      });
    }
  }

  private dropCancelled(): void {
    for (const job of this.queue) if (job.cancelled()) job.reject(new Error('the client has gone'));
    this.queue = this.queue.filter((job) => !job.cancelled());
  }

  /** The oldest request and those that may join it. */
  private next(): Job[] {
    const first = this.queue[0]!;
    const jobs = [first];
    for (const job of this.queue.slice(1)) {
      if (job.key === null || job.key !== first.key) continue;
      if (total(jobs) + job.rows > this.limits.maxBatch) break;
      jobs.push(job);
    }
    return jobs;
  }

  private async runJobs(jobs: readonly Job[]): Promise<void> {
    try {
      const outputs = await this.run(jobs[0]!.signature, joinRows(jobs.map(({ inputs }) => inputs)));
      const parts = jobs.length === 1 ? [outputs] : splitRows(outputs, jobs);
      jobs.forEach((job, i) => {
        job.resolve(parts[i]!);
      });
    } catch (error) {
      if (jobs.length === 1) jobs[0]!.reject(error);
      else for (const job of jobs) await this.runJobs([job]);
    }
  }
}

function total(jobs: readonly Job[]): number {
  return jobs.reduce((sum, { rows }) => sum + rows, 0);
}

/** Rows that all inputs have; null if they differ or one is a scalar. */
function rowsOf(inputs: Tensors): number | null {
  const counts = new Set([...inputs.values()].map(({ shape }) => shape[0]));
  const [rows] = counts;
  return counts.size === 1 && rows !== undefined && rows > 0 ? rows : null;
}

function keyOf(inputs: Tensors): string {
  return [...inputs]
    .map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape.slice(1)}]`)
    .sort()
    .join();
}

function joinRows(all: readonly Tensors[]): Tensors {
  if (all.length === 1) return all[0]!;
  return new Map(
    [...all[0]!].map(([name, first]) => {
      const parts = all.map((inputs) => inputs.get(name)!);
      const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
      return [name, { ...first, shape: [rows, ...first.shape.slice(1)], values: joinValues(parts) }];
    }),
  );
}

function joinValues(parts: readonly HostTensor[]): TensorValues {
  const [first] = parts;
  if (Array.isArray(first!.values)) return parts.flatMap(({ values }) => values as Uint8Array[]);
  const arrays = parts.map(({ values }) => values as Float32Array);
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const joined = new (arrays[0]!.constructor as Float32ArrayConstructor)(length);
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

/** @throws Error if an output does not have a row for each row of the inputs */
function splitRows(outputs: Tensors, jobs: readonly Job[]): Tensors[] {
  const rows = total(jobs);
  let begin = 0;
  return jobs.map((job) => {
    const end = begin + job.rows;
    const part = new Map(
      [...outputs].map(([name, { dtype, shape, values }]) => {
        if (shape[0] !== rows) throw new Error(`output "${name}" has ${shape[0]} rows for ${rows}`);
        const size = shape.slice(1).reduce((product, side) => product * side, 1);
        const own = (values as Float32Array).slice(begin * size, end * size);
        return [name, { dtype, shape: [job.rows, ...shape.slice(1)], values: own }];
      }),
    );
    begin = end;
    return part;
  });
}
