// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { adamW, squaredNorm } from '../ops/index.js';
import { type Bucket, FlatStore, type NamedValue } from './flat_store.js';

/** Which parameters a group takes. Every condition given must hold; no condition takes all. */
export interface GroupMatcher {
  /** The name contains one of these. */
  includes?: readonly string[];
  /** The name contains none of these. */
  excludes?: readonly string[];
  /** Number of dimensions at least / at most (biases and norms have 1). */
  minRank?: number;
  maxRank?: number;
}

/** Parameters that share a learning rate and a weight decay. */
export interface ParameterGroup {
  name: string;
  match: GroupMatcher;
  /** Times the base learning rate; default 1. */
  lrMultiplier?: number;
  /** Default: the optimizer's. */
  weightDecay?: number;
}

export interface AdamWOptions {
  /** Base learning rate. */
  lr: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** Largest norm of all gradients together; 0 or absent = no clipping. */
  clipNorm?: number;
  /** A parameter belongs to the first group that takes it; one that none takes is an error. Default: one group. */
  groups?: readonly ParameterGroup[];
}

/** Learning-rate factor of a step: one for all groups, or by group name. */
export type LrFactor = number | ((group: string) => number);

/** Vectors of one bucket by slot: `param`, `exp_avg`, `exp_avg_sq`, averages. */
export type Slots = Readonly<Record<string, tf.Tensor1D>>;

/**
 * What the update of one bucket depends on beside its vectors, worked out in double precision: what parameters are first
 * multiplied with; what is added to the root of the second moments, bias correction included; the learning rate, bias
 * corrections included.
 */
export type UpdateNumbers = [decay: number, epsilon: number, rate: number];

/** Gradients that have been gathered but not yet applied, so that a bad norm can still be refused. */
export interface PendingStep {
  /** Norm of all gradients before clipping. */
  readonly gradNorm: tf.Scalar;
  /** Changes moments and parameters, then frees the gathered gradients. */
  apply(factor?: LrFactor): void;
  /** Frees them without applying. */
  dispose(): void;
}

const MOMENTS = ['exp_avg', 'exp_avg_sq'] as const;

/**
 * AdamW (Loshchilov and Hutter 2019), value by value as PyTorch computes it: decay first, then the bias-corrected
 * step; gradients are first multiplied with `min(1, clipNorm / (norm + 1e-6))`. A parameter without a gradient in a
 * step does not change at all and its step count stands still.
 *
 * Parameters, moments and gradients are joined to a few vectors (see FlatStore): on small models most of a plain
 * optimizer's time goes into starting thousands of tiny operations.
 */
export class AdamW {
  readonly store: FlatStore;
  readonly groups: readonly Required<ParameterGroup>[];
  private readonly lr: number;
  private readonly betas: readonly [number, number];
  private readonly eps: number;
  private readonly clipNorm: number;

  constructor(parameters: Map<string, tf.Variable>, options: AdamWOptions) {
    this.lr = options.lr;
    this.betas = options.betas ?? [0.9, 0.999];
    this.eps = options.eps ?? 1e-8;
    this.clipNorm = options.clipNorm ?? 0;
    const groups = options.groups ?? [{ name: 'all', match: {} }];
    this.groups = groups.map((group) => ({
      lrMultiplier: 1,
      weightDecay: options.weightDecay ?? 0.01,
      ...group,
    }));
    this.store = new FlatStore(parameters, (name, variable) => this.groupOf(name, variable));
    for (const slot of MOMENTS) {
      this.store.addSlot(slot, (bucket) => tf.zerosLike(this.store.slot(bucket, 'param')));
    }
  }

  /** Gathers gradients by parameter name; a missing name means "no gradient". Frees nothing of its argument. */
  gather(gradients: ReadonlyMap<string, tf.Tensor>): PendingStep {
    this.arrange(gradients);
    const gathered = new Map<Bucket, tf.Tensor[]>();
    for (const bucket of this.store.buckets) {
      const own = this.gradientsOf(bucket, gradients);
      // The caller may free its own.
      if (own)
        gathered.set(
          bucket,
          own.map((gradient) => tf.keep(tf.clone(gradient))),
        );
    }
    const gradNorm = tf.keep(tf.tidy(() => globalNorm([...gathered.values()])));
    const dispose = () => {
      tf.dispose([...gathered.values()]);
      gathered.clear();
      gradNorm.dispose();
    };
    return {
      gradNorm,
      dispose,
      apply: (factor = 1) => {
        for (const [bucket, own] of gathered) {
          const slots = Object.fromEntries(
            this.slotNames().map((name) => [name, this.store.slot(bucket, name)]),
          );
          const { next, values } = tf.tidy(() => {
            const numbers = tf.tensor1d([...this.numbers(bucket, factor), 0]);
            const updated = this.updated(slots, own, this.clipScale(gradNorm), numbers, null);
            return { next: updated.slots as Record<string, tf.Tensor1D>, values: updated.values };
          });
          this.store.commit(bucket, next, values);
          tf.dispose(values);
          bucket.steps++;
        }
        dispose();
      },
    };
  }

  /** Whether some bucket has both members with and members without a gradient. */
  isArrangedFor(gradients: ReadonlyMap<string, unknown>): boolean {
    return this.store.buckets.every(({ names }) => {
      const active = names.filter((name) => gradients.has(name)).length;
      return active === 0 || active === names.length;
    });
  }

  /** Divides buckets until `isArrangedFor` holds. */
  arrange(gradients: ReadonlyMap<string, unknown>): void {
    for (const bucket of [...this.store.buckets]) {
      const active = bucket.names.map((name) => gradients.has(name));
      if (active.includes(true) && active.includes(false)) this.store.split(bucket, active);
    }
  }

  /** The gradients of a bucket's parameters; null where it has none. */
  gradientsOf({ names }: Bucket, gradients: ReadonlyMap<string, tf.Tensor>): tf.Tensor[] | null {
    return gradients.has(names[0]!) ? names.map((name) => gradients.get(name)!) : null;
  }

  /** What gradients are multiplied with where the norm of all is too large. @param norm of all gradients together */
  clipScale(norm: tf.Scalar): tf.Scalar {
    if (this.clipNorm <= 0) return tf.scalar(1);
    return tf.minimum(tf.div(this.clipNorm, tf.add(norm, 1e-6)), 1) as tf.Scalar;
  }

  /** The numbers of the next step of a bucket. */
  numbers(bucket: Bucket, factor: LrFactor = 1): UpdateNumbers {
    const [beta1, beta2] = this.betas;
    const lr = this.groupLr(bucket.group, factor);
    const steps = bucket.steps + 1;
    const correction2 = Math.sqrt(1 - beta2 ** steps);
    // m / correction1 / (sqrt(v) / correction2 + eps), with the corrections moved into the numbers.
    return [
      1 - lr * this.groups[bucket.group]!.weightDecay,
      this.eps * correction2,
      (lr * correction2) / (1 - beta1 ** steps),
    ];
  }

  /**
   * A bucket after a step: pure, so that it can be part of a compiled function.
   * @param gradients of its parameters
   * @param scale what they are first multiplied with
   * @param numbers `[4]`: those of the update, and which part of the way averages move
   * @param average slot of the averages, if they are to move along
   */
  updated(
    slots: Slots,
    gradients: readonly tf.Tensor[],
    scale: tf.Scalar,
    numbers: tf.Tensor1D,
    average: string | null,
  ): { slots: Slots; values: tf.Tensor[] } {
    const [first, second] = MOMENTS;
    const vectors = {
      param: slots.param!,
      first: slots[first]!,
      second: slots[second]!,
      average: average === null ? null : slots[average]!,
    };
    const { next, values } = adamW(vectors, gradients, numbers, scale, this.betas);
    const changed = { param: next.param, [first]: next.first, [second]: next.second };
    return { slots: average === null ? changed : { ...changed, [average]: next.average! }, values };
  }

  /** One whole step: `gather` and `apply`. */
  step(gradients: ReadonlyMap<string, tf.Tensor>, factor: LrFactor = 1): void {
    this.gather(gradients).apply(factor);
  }

  /** Learning rate of every group under `factor`, by name. */
  learningRates(factor: LrFactor = 1): Record<string, number> {
    return Object.fromEntries(this.groups.map((_, i) => [this.groups[i]!.name, this.groupLr(i, factor)]));
  }

  /**
   * Everything `loadState` needs, as named tensors: `exp_avg.NAME`, `exp_avg_sq.NAME`, `step.NAME`, and the number of
   * the vector a parameter lies in (`bucket.NAME`), because the norm is summed vector by vector.
   */
  async state(): Promise<Map<string, NamedValue>> {
    const state = new Map<string, NamedValue>();
    for (const slot of MOMENTS) {
      for (const [name, value] of await this.store.read(slot)) state.set(`${slot}.${name}`, value);
    }
    this.store.buckets.forEach(({ names, steps }, i) => {
      for (const name of names) {
        state.set(`step.${name}`, { shape: [], data: Float32Array.of(steps) });
        state.set(`bucket.${name}`, { shape: [], data: Float32Array.of(i) });
      }
    });
    return state;
  }

  /**
   * Restores what `state` gave; averages on the same store start anew and are loaded after it. `source` names the file
   * in errors. Nothing changes if anything does not fit.
   */
  loadState(state: ReadonlyMap<string, NamedValue>, source: string): void {
    const complain = (problem: string): never => {
      throw new UserError(
        `${source}: optimizer state does not fit the model: ${problem}. Start from the weights alone with --load.`,
        EXIT_CODES.checkpoint,
      );
    };
    const part = (slot: string) => {
      const prefix = `${slot}.`;
      const entries = [...state].filter(([key]) => key.startsWith(prefix));
      return new Map(entries.map(([key, value]) => [key.slice(prefix.length), value]));
    };
    const steps = part('step');
    const places = part('bucket');
    const moments = MOMENTS.map((slot) => [slot, part(slot)] as const);
    for (const [slot, values] of moments) this.store.check(slot, values, complain);
    this.store.check('step', steps, complain, false);
    this.store.check('bucket', places, complain, false);
    this.store.regroup((name) => ({ bucket: places.get(name)!.data[0]!, steps: steps.get(name)!.data[0]! }));
    for (const [slot, values] of moments) this.store.write(slot, values);
  }

  /** Frees the moments; the variables stay. */
  dispose(): void {
    this.store.dispose();
  }

  private slotNames(): string[] {
    return ['param', ...MOMENTS];
  }

  private groupLr(group: number, factor: LrFactor): number {
    const { name, lrMultiplier } = this.groups[group]!;
    return this.lr * lrMultiplier * (typeof factor === 'number' ? factor : factor(name));
  }

  private groupOf(name: string, variable: tf.Variable): number {
    const group = this.groups.findIndex(({ match }) => matches(match, name, variable.rank));
    if (group < 0) {
      throw new Error(`[AdamW] expected a group for every parameter but none takes ${name}`);
    }
    return group;
  }
}

/** Whether a matcher takes the parameter `name` of `rank` dimensions. */
export function matches(match: GroupMatcher, name: string, rank: number): boolean {
  if (match.includes && !match.includes.some((part) => name.includes(part))) return false;
  if (match.excludes?.some((part) => name.includes(part))) return false;
  return rank >= (match.minRank ?? 0) && rank <= (match.maxRank ?? Number.POSITIVE_INFINITY);
}

/** Euclidean norm of all values, summed list by list; 0 for none. */
export function globalNorm(lists: readonly (readonly tf.Tensor[])[]): tf.Scalar {
  if (lists.length === 0) return tf.scalar(0);
  return tf.sqrt(tf.addN(lists.map((tensors) => squaredNorm(tensors))));
}

/**
 * Loss and gradients by parameter name: `tf.variableGrads` with the names of the model instead of tfjs's own.
 * Parameters that the loss does not depend on are absent. The caller frees both.
 */
export function lossAndGradients(
  parameters: ReadonlyMap<string, tf.Variable>,
  loss: () => tf.Scalar,
): { value: tf.Scalar; gradients: Map<string, tf.Tensor> } {
  const names = new Map([...parameters].map(([name, variable]) => [variable.name, name]));
  const { value, grads } = tf.variableGrads(loss, [...parameters.values()]);
  const gradients = new Map(Object.entries(grads).map(([key, gradient]) => [names.get(key)!, gradient]));
  return { value, gradients };
}
